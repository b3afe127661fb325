# one room of the kernel
libkernel_la_SOURCES += %D%/control.c %D%/control.h %D%/methods.c %D%/methods.h
nodist_libkernel_la_SOURCES += %D%/kernel_json.h
EXTRA_DIST += %D%/kernel.json
BUILT_SOURCES += %D%/kernel_json.h
CLEANFILES += %D%/kernel_json.h
