# one room of the kernel
libkernel_la_SOURCES += %D%/ask.c %D%/bus.c %D%/bus.h %D%/helpers.c %D%/call.c %D%/publish.c %D%/registry.h %D%/trust.c

check_PROGRAMS += test_bus
TESTS += test_bus
test_bus_CPPFLAGS = $(CPPFLAGS_TEST)
test_bus_CFLAGS = $(CFLAGS_TEST)
test_bus_LDADD = $(LIBS_TEST)
test_bus_SOURCES = %D%/tests/test_bus.c
