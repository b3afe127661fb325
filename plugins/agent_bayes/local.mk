# agent_bayes: a Bayesian classifier for each post office.
if PLUGIN_AGENT_BAYES
plugin_LTLIBRARIES += agent_bayes.la
agent_bayes_la_CPPFLAGS = $(CPPFLAGS_PLUGIN)
agent_bayes_la_CFLAGS = $(CFLAGS_PLUGIN) $(GNUTLS_CFLAGS)
agent_bayes_la_LDFLAGS = $(LDFLAGS_PLUGIN)
agent_bayes_la_LIBADD = $(LIBS_PLUGIN) $(GNUTLS_LIBS) -lm
agent_bayes_la_SOURCES = \
	%D%/bayes.h \
	%D%/classify.c %D%/classify.h \
	%D%/learn.c \
	%D%/methods.c %D%/methods.h \
	%D%/plugin.c \
	%D%/tokens.c %D%/tokens.h \
	%D%/words.c
dist_plugin_DATA += %D%/agent_bayes.json

check_PROGRAMS += test_bayes
TESTS += test_bayes %D%/tests/test_bayes.py
test_bayes_CPPFLAGS = $(CPPFLAGS_TEST)
test_bayes_CFLAGS = $(CFLAGS_TEST)
test_bayes_LDADD = libpostbus.la $(CMOCKA_LIBS) -lm
test_bayes_SOURCES = %D%/tests/test_bayes.c %D%/classify.c %D%/tokens.c
endif
EXTRA_DIST += %D%/README.md %D%/tests/test_bayes.py
EXTRA_DIST += %D%/tests/train.talk
