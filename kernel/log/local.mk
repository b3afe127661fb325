# one room of the kernel
libkernel_la_SOURCES += %D%/log.h
libkernel_la_SOURCES += %D%/log.c %D%/metrics.c %D%/metrics.h
