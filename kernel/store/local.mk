# one room of the kernel
libkernel_la_SOURCES += %D%/engine.h
libkernel_la_SOURCES += %D%/mailstore.h
libkernel_la_SOURCES += %D%/timeline.h
