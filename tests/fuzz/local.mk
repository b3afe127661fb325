# libFuzzer targets: ./configure --enable-fuzz CC=clang, then `make fuzzers` and run each with a folder of seeds. One block each.
CFLAGS_FUZZ = $(AM_CFLAGS) $(JANSSON_CFLAGS)
LDFLAGS_FUZZ = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined

if FUZZ
FUZZERS += fuzz_address fuzz_message
EXTRA_PROGRAMS = $(FUZZERS)
fuzz_address_SOURCES = %D%/fuzz_address.c
fuzz_address_CPPFLAGS = $(CPPFLAGS_PLUGIN)
fuzz_address_CFLAGS = $(CFLAGS_FUZZ)
fuzz_address_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_address_LDADD = $(LIBS_PLUGIN)
fuzz_message_SOURCES = %D%/fuzz_message.c
fuzz_message_CPPFLAGS = $(CPPFLAGS_PLUGIN)
fuzz_message_CFLAGS = $(CFLAGS_FUZZ)
fuzz_message_LDFLAGS = $(LDFLAGS_FUZZ)
fuzz_message_LDADD = $(LIBS_PLUGIN)
endif

fuzzers: $(FUZZERS)
.PHONY: fuzzers
EXTRA_DIST += %D%/fuzz_address.c %D%/fuzz_message.c
