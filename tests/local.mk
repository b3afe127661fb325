# Platform tests: Python programs that start a daemon of their own (tests/platform/postbus.py). One line each.
TEST_EXTENSIONS = .py .sh
# No test may hold up the others for ever.
TEST_SECONDS = 600
PY_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run $(TEST_SECONDS) $(PYTHON3)
SH_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run $(TEST_SECONDS) $(SHELL)
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/run $(TEST_SECONDS)
PLATFORM_TESTS =
PLATFORM_TESTS += %D%/platform/test_delivery.py
PLATFORM_TESTS += %D%/platform/test_directory.py
PLATFORM_TESTS += %D%/platform/test_smtp_hooks.py
PLATFORM_TESTS += %D%/platform/test_smtp_in.py
PLATFORM_TESTS += %D%/platform/test_smtp_out.py
PLATFORM_TESTS += %D%/platform/test_smtp_fake.py
PLATFORM_TESTS += %D%/platform/test_smtp_postfix.py
PLATFORM_TESTS += %D%/platform/test_talks.py
PLATFORM_TESTS += %D%/platform/test_imap.py
PLATFORM_TESTS += %D%/platform/test_hostile.py
PLATFORM_TESTS += %D%/platform/test_import.py
PLATFORM_TESTS += %D%/platform/test_lmtp.py
PLATFORM_TESTS += %D%/platform/test_pop3.py
PLATFORM_TESTS += %D%/platform/test_imap_metadata.py
PLATFORM_TESTS += %D%/platform/test_imapsieve.py
PLATFORM_TESTS += %D%/platform/test_managesieve.py
PLATFORM_TESTS += %D%/platform/test_scram.py
PLATFORM_TESTS += %D%/platform/test_mail_clients.py
PLATFORM_TESTS += %D%/platform/test_config.py
PLATFORM_TESTS += %D%/platform/test_downgrade.py
PLATFORM_TESTS += %D%/platform/test_postmaster.py
PLATFORM_TESTS += %D%/platform/test_policy.py
PLATFORM_TESTS += %D%/platform/test_quota.py
PLATFORM_TESTS += %D%/platform/test_reload.py
PLATFORM_TESTS += %D%/platform/test_dnssec.py
PLATFORM_TESTS += %D%/docs/test_docs.py
PLATFORM_TESTS += %D%/platform/test_admin.py
PLATFORM_TESTS += %D%/platform/test_plugin_life.py
PLATFORM_TESTS += %D%/platform/test_plugin_stuck.py
PLATFORM_TESTS += %D%/platform/test_end.py
PLATFORM_TESTS += %D%/platform/test_refused.py
PLATFORM_TESTS += %D%/platform/test_store.py
PLATFORM_TESTS += %D%/platform/test_faults.py
PLATFORM_TESTS += %D%/platform/test_disk.py
PLATFORM_TESTS += %D%/platform/test_poison.py
TESTS += $(PLATFORM_TESTS)
EXTRA_DIST += %D%/platform/postbus.py %D%/platform/homes.py %D%/platform/probe.py %D%/platform/smtp_peer.py $(PLATFORM_TESTS)
EXTRA_DIST += %D%/run %D%/tsan.supp %D%/tsan/children.h

# The source itself.
TESTS += %D%/source/check_source.py
EXTRA_DIST += %D%/source/check_source.py

include tests/fuzz/local.mk
include tests/bench/local.mk

# A plugin built with the headers of each released ABI must load into today's kernel.
TESTS += %D%/abi/test_abi.py
ABI_1_0 = %D%/abi/1.0/conn_hello.c %D%/abi/1.0/conn_hello.json \
	%D%/abi/1.0/postbus/address.h \
	%D%/abi/1.0/postbus/bus.h \
	%D%/abi/1.0/postbus/date.h \
	%D%/abi/1.0/postbus/error.h \
	%D%/abi/1.0/postbus/letter.h \
	%D%/abi/1.0/postbus/link.h \
	%D%/abi/1.0/postbus/login.h \
	%D%/abi/1.0/postbus/mailbox.h \
	%D%/abi/1.0/postbus/message.h \
	%D%/abi/1.0/postbus/plugin.h \
	%D%/abi/1.0/postbus/queue.h \
	%D%/abi/1.0/postbus/run.h \
	%D%/abi/1.0/postbus/sasl.h \
	%D%/abi/1.0/postbus/secret.h \
	%D%/abi/1.0/postbus/session.h \
	%D%/abi/1.0/postbus/str.h \
	%D%/abi/1.0/postbus/table.h
EXTRA_DIST += %D%/abi/test_abi.py $(ABI_1_0)

# kill -9 under load: 200 times in make check; make soak goes on for SOAK seconds.
TESTS += %D%/crash/crash.py
EXTRA_DIST += %D%/crash/crash.py
SOAK = 1800
soak: all
	$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/crash/crash.py --seconds $(SOAK)
.PHONY: soak
# The sanitizer builds of ./check run what they can find something in: no test that only reads source or symbols or fills disks, and under ThreadSanitizer, which
# is slow, none with a single thread, or whose clients come one after the other and ask for what others ask for side by side: make check-tsan ONE_CLIENT= runs those.
NOT_SANITIZED = %D%/source/check_source.py %D%/crash/crash.py %D%/platform/test_disk.py sdk/tests/headers.sh sdk/tests/symbols.sh
ONE_THREAD = $(sdk_tests) sdk/tests/mime_corpus.py sdk_test_gmime try_fuzz_smtp try_fuzz_imap try_fuzz_pop3 try_fuzz_managesieve try_fuzz_segment tests/fuzz/fuzz_framing test_schema test_manifest test_row test_dsn test_expand \
	test_smtp_inbound test_smtp_outbound test_import try_fuzz_import try_fuzz_lmtp test_dns plugins/svc_imap/tests/test_parse plugins/svc_imap/tests/test_fetch_plan \
	plugins/svc_imap/tests/test_search kernel/store/tests/test_rows test_engine_crash test_timeline \
	tests/platform/test_smtp_fake.py tests/platform/test_smtp_postfix.py tests/platform/test_directory.py
ONE_CLIENT = sieve/tests/test_cases.py plugins/conn_list/tests/test_transfer.py %D%/platform/test_admin.py %D%/platform/test_config.py %D%/platform/test_downgrade.py \
	%D%/platform/test_import.py %D%/platform/test_policy.py
# A sanitizer's program is up to ten times slower: what the platform tests wait for comes, but late (tests/platform/postbus.py).
SANITIZERS = POSTBUS_PATIENCE=4 ASAN_OPTIONS='detect_leaks=1:abort_on_error=0' UBSAN_OPTIONS='print_stacktrace=1' \
	TSAN_OPTIONS='suppressions=$(abs_top_srcdir)/tests/tsan.supp:halt_on_error=0:exitcode=66:atexit_sleep_ms=50'

# Where several run at once, the long ones come first: none of them is begun when all others are over. What count-tests.py --slow names belongs here; those that wait
# for most of their time are mixed with those that work.
LONG = %D%/platform/test_end.py %D%/platform/test_plugin_stuck.py %D%/platform/test_admin.py %D%/platform/test_store.py %D%/platform/test_faults.py %D%/crash/crash.py \
	plugins/conn_popretr/tests/test_retrieve.py test_engine_crash %D%/platform/test_smtp_out.py %D%/platform/test_import.py %D%/platform/test_talks.py test_queue_hop \
	sieve/tests/test_cases.py %D%/platform/test_downgrade.py %D%/platform/test_delivery.py %D%/platform/test_poison.py
long_first = $(foreach test,$(LONG),$(filter $(test),$(1))) $(filter-out $(LONG),$(1))
check-plain:
	POSTBUS_PATIENCE=2 $(MAKE) check TESTS='$(call long_first,$(TESTS))'
check-asan:
	$(SANITIZERS) POSTBUS_SANITIZER=address $(MAKE) check TESTS='$(call long_first,$(filter-out $(NOT_SANITIZED),$(TESTS)))'
check-tsan:
	$(SANITIZERS) POSTBUS_SANITIZER=thread $(MAKE) check TESTS='$(call long_first,$(filter-out $(NOT_SANITIZED) $(ONE_THREAD) $(ONE_CLIENT),$(TESTS)))'
.PHONY: check-plain check-asan check-tsan

# What the tests made: plugins with their manifests beside them, homes, what fuzzing found; and the header of configure.
distclean-local:
	rm -rf plugin-dir homes fuzz-corpus fuzz-failures tests/tsan/jansson.h
