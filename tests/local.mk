# Platform tests: Python programs that start a daemon of their own (tests/platform/postbus.py). One line each.
TEST_EXTENSIONS = .py
PY_LOG_COMPILER = timeout -k 10 900 $(PYTHON3)
# No test may hold up the others for ever.
LOG_COMPILER = timeout -k 10 600
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
PLATFORM_TESTS += %D%/platform/test_pop3.py
PLATFORM_TESTS += %D%/platform/test_mail_clients.py
TESTS += $(PLATFORM_TESTS)
EXTRA_DIST += %D%/platform/postbus.py %D%/platform/smtp_peer.py $(PLATFORM_TESTS)
include tests/fuzz/local.mk
include tests/bench/local.mk

# kill -9 under load: 200 times in make check; make soak goes on for SOAK seconds.
TESTS += %D%/crash/crash.py
EXTRA_DIST += %D%/crash/crash.py
SOAK = 1800
soak: all
	$(AM_TESTS_ENVIRONMENT) $(PYTHON3) $(srcdir)/%D%/crash/crash.py --seconds $(SOAK)
.PHONY: soak
