# Benchmarks: side by side with Debian's own, as ratios; never part of make check.
BENCHES += %D%/smtp_load
EXTRA_PROGRAMS += $(BENCHES)
%C%_smtp_load_SOURCES = %D%/smtp_load.c
%C%_smtp_load_LDADD = -lpthread
EXTRA_DIST += %D%/peers.py %D%/bench_delivery.py %D%/callgrind.py
BENCH_RUN = srcdir='$(abs_top_srcdir)' builddir='$(abs_top_builddir)' $(PYTHON3)

bench-delivery: all %D%/smtp_load
	$(BENCH_RUN) $(srcdir)/%D%/bench_delivery.py
bench-callgrind: all %D%/smtp_load
	$(BENCH_RUN) $(srcdir)/%D%/callgrind.py
bench: bench-delivery bench-callgrind
.PHONY: bench bench-delivery bench-callgrind
