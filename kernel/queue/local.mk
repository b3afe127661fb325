# one room of the kernel
libkernel_la_SOURCES += %D%/queue.h
libkernel_la_SOURCES += %D%/spool.h
