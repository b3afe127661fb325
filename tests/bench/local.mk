# Benchmarks: side by side with Debian's own, as ratios; never part of make check.
BENCHES += %D%/smtp_load %D%/imap_load %D%/login_load
EXTRA_PROGRAMS += $(BENCHES)
%C%_smtp_load_SOURCES = %D%/smtp_load.c
%C%_smtp_load_LDADD = -lpthread
%C%_imap_load_SOURCES = %D%/imap_load.c
%C%_login_load_SOURCES = %D%/login_load.c
# Tests of lists send to it too.
check_PROGRAMS += %D%/smtp_sink
%C%_smtp_sink_SOURCES = %D%/smtp_sink.c
%C%_smtp_sink_LDADD = -lpthread
EXTRA_DIST += %D%/peers.py %D%/bench_delivery.py %D%/bench_bytes.py %D%/bench_filters.py %D%/bench_imap.py %D%/bench_idle.py %D%/bench_list.py %D%/bench_popretr.py %D%/bench_sieve.py %D%/callgrind.py
BENCH_RUN = srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)' $(PYTHON3)

bench-delivery: all %D%/smtp_load
	$(BENCH_RUN) $(srcdir)/%D%/bench_delivery.py

bench-bytes: all %D%/smtp_load
	$(BENCH_RUN) $(srcdir)/%D%/bench_bytes.py

bench-filters: all %D%/smtp_load
	$(BENCH_RUN) $(srcdir)/%D%/bench_filters.py

bench-callgrind: all %D%/smtp_load
	$(BENCH_RUN) $(srcdir)/%D%/callgrind.py

bench-imap: all %D%/imap_load %D%/login_load
	$(BENCH_RUN) $(srcdir)/%D%/bench_imap.py

bench-idle: all
	$(BENCH_RUN) $(srcdir)/%D%/bench_idle.py

bench-popretr: all
	$(BENCH_RUN) $(srcdir)/%D%/bench_popretr.py

bench-list: all %D%/smtp_sink
	$(BENCH_RUN) $(srcdir)/%D%/bench_list.py

bench-sieve: sieve/tests/try_sieve plugins/agent_filter/tests/try_words
	$(BENCH_RUN) $(srcdir)/%D%/bench_sieve.py

# A queue of so many items in a process that is then gone; another starts on it.
COLDSTART_ITEMS = 1000000
bench-coldstart: queue_bench
	dir=`mktemp -d` && ./queue_bench fill $$dir $(COLDSTART_ITEMS) && ./queue_bench start $$dir 1000; code=$$?; rm -rf "$$dir"; exit $$code

bench: bench-delivery bench-filters bench-callgrind bench-imap bench-idle bench-list bench-sieve bench-coldstart
.PHONY: bench bench-delivery bench-bytes bench-filters bench-callgrind bench-imap bench-idle bench-list bench-popretr bench-sieve bench-coldstart
