# one room of the kernel
libkernel_la_SOURCES += %D%/clock.h
libkernel_la_SOURCES += %D%/clock.c
