# one room of the kernel
libkernel_la_SOURCES += %D%/log.h
