# one room of the kernel
libkernel_la_SOURCES += %D%/ask.c %D%/bus.c %D%/bus.h %D%/call.c %D%/publish.c %D%/registry.h
