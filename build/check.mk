# SPDX-License-Identifier: BSD-2-Clause
#
# Every kind of check.  What tests need to know stands in the environment:
#
#   FCNG_TOP             the root of the sources
#   FCNG_OUT             the folder of what was built (out, or out/san-*)
#   FCNG_BIN             the fcng command; empty: not built
#   FCNG_LIB             libfcng.a
#   FCNG_APPS            the folder of the applications in t/apps
#   FCNG_APACHE          Debian's apache2 (httpd); empty: missing
#   FCNG_APACHE_MODULE   mod_fastcgi_ng.so; empty: not built
#   FCNG_NGINX           nginx; empty: missing
#   FCNG_NGINX_MODULE    ngx_http_fastcgi_ng_module.so; empty: not built
#   FCNG_NGINX_STATIC    nginx with the module, poll and select linked in;
#                        empty: no source was fetched
#   FCNG_SAN             the sanitizers, as address,undefined
#   FCNG_PRELOAD         LD_PRELOAD for a server built without the sanitizer
#   FCNG_HOSTS           the hosts to test: apache nginx
#   FCNG_VALGRIND        1: nginx runs under valgrind
#   FCNG_CORES           a folder that anyone may write to: processes of a
#                        server that crash leave a core there (ulimit -c
#                        unlimited)
# All paths are absolute.  PATH has the sbin folders.

T ?=
UNIT_SRCS := $(sort $(wildcard t/unit/test_*.c))
UNIT_HELP := $(filter-out $(UNIT_SRCS),$(sort $(wildcard t/unit/*.c)))
UNIT_BINS := $(UNIT_SRCS:t/unit/%.c=$(O)/unit/%)
UNIT_HELP_OBJS := $(UNIT_HELP:t/unit/%.c=$(O)/unit/%.o)
UNIT_OBJS := $(UNIT_SRCS:t/unit/%.c=$(O)/unit/%.o) $(UNIT_HELP_OBJS)
UNIT_COMPILE = $(CC) $(FCNG_CPPFLAGS) -Icore/src -It/unit -std=gnu11 \
	$(FCNG_WARN) -Wno-unused-parameter $(CPPFLAGS) $(CFLAGS) $(SAN_CFLAGS)
HAVE_CMOCKA := $(wildcard /usr/include/cmocka.h /usr/local/include/cmocka.h)
UNIT_TESTS = $(if $(HAVE_CMOCKA),$(UNIT_BINS),-s 'cmocka missing')

RUN = build/run-tests -j $(JOBS)
CHECKERS := build/check-layers build/check-style build/check-headers \
	build/check-symbols
PERL_TESTS := $(sort $(wildcard t/*.t))
SLOW_TESTS := $(sort $(wildcard t/slow/*.t))
FAULT_TESTS := $(sort $(wildcard t/faults*.t))
HOSTS ?= apache nginx

# What processes share, and what httpd's hooks make of an authorizer, with
# processes of one request each.
PREFORKED := t/limits.t t/authorizer.t t/apache-authorizer.t

# The Responder under each way to wait for events and to serve, and with
# requests of nginx that all go the way of those with a body.
VARIED := $(sort $(wildcard t/responder-*.t))
comma := ,
vary = $(foreach t,$(VARIED),$(t)@FCNG_HOSTS=$(1)$(comma)$(2))
VARIANTS = $(if $(strip $(NGINX_MISSING)),,\
	$(call vary,nginx,FCNG_NGINX_LATE=1) \
	t/stale.t@FCNG_HOSTS=nginx$(comma)FCNG_NGINX_LATE=1 $(if $(NGINX_TREE),\
	$(call vary,nginx,FCNG_NGINX_EVENTS=poll) \
	$(call vary,nginx,FCNG_NGINX_EVENTS=select),\
	-s 'source of nginx missing')) \
	$(if $(strip $(APACHE_MISSING)),,\
	$(call vary,apache,FCNG_MPM=prefork) $(call vary,apache,FCNG_MPM=worker) \
	$(foreach t,$(PREFORKED),$(t)@FCNG_HOSTS=apache$(comma)FCNG_MPM=prefork))

abs-if-built = $(if $(strip $($(1)_MISSING)),,$(TOP)/$(2))
check-env = FCNG_TOP='$(TOP)' FCNG_OUT='$(TOP)/$(O)' \
	FCNG_BIN='$(call abs-if-built,APR,$(FCNG))' \
	FCNG_LIB='$(TOP)/$(LIBFCNG)' FCNG_APPS='$(TOP)/out/apps' \
	FCNG_APACHE='$(APACHE_BIN)' \
	FCNG_APACHE_MODULE='$(call abs-if-built,APACHE,$(APACHE_MODULE))' \
	FCNG_NGINX='$(NGINX_BIN)' \
	FCNG_NGINX_MODULE='$(call abs-if-built,NGINX,$(NGINX_MODULE))' \
	FCNG_NGINX_STATIC='$(call abs-if-built,NGINX_STATIC,$(NGINX_STATIC))' \
	FCNG_SAN='$(SAN)' FCNG_PRELOAD='$(SAN_PRELOAD)' \
	FCNG_HOSTS='$(HOSTS)' \
	CHECK_C='$(CORE_COMPILE)' \
	CHECK_CXX='$(CXX) -Icore/include -std=c++11 -pedantic -Wall -Wextra' \
	CHECK_APACHE='$(if $(strip $(APACHE_MISSING)),,$(APACHE_COMPILE))' \
	PATH='$(SBIN_PATH)'

.PHONY: setup check check-run check-unit check-layers check-style \
	check-headers check-symbols check-apache check-nginx check-slow \
	check-faults check-deb check-nginx-tests valgrind valgrind-nginx bench demo unit tests-built

setup:
	@build/setup --quiet

unit: $(if $(HAVE_CMOCKA),$(UNIT_BINS))

# Everything that tests use.  A fresh make looks anew at what setup installed.
tests-built: all unit apps $(if $(NGINX_TREE),$(if $(NGINX_SRCS),nginx-static))

check:
	@build/setup --quiet
	@$(MAKE) --no-print-directory check-run

check-run: tests-built
	@$(check-env) $(RUN) $(if $(T),$(T),$(CHECKERS) $(UNIT_TESTS) $(PERL_TESTS) \
		$(VARIANTS))

check-unit: core unit
	@$(check-env) $(RUN) $(UNIT_TESTS)

check-layers check-style:
	@$(check-env) $(RUN) build/$@

check-headers:
	@$(check-env) $(RUN) build/$@

check-symbols: all
	@$(check-env) $(RUN) build/$@

# One host: the tests that look at FCNG_HOSTS run for it alone.
check-apache check-nginx: check-%: tests-built
	@$(check-env) FCNG_HOSTS=$* $(RUN) $(if $(T),$(T),$(PERL_TESTS))

check-slow: tests-built
	@$(check-env) build/run-tests -j 1 -t 3600 $(if $(T),$(T),$(SLOW_TESTS))

# All of the fault matrix, of which `make check` runs a part.
check-faults: tests-built
	@$(check-env) FCNG_FAULTS=full build/run-tests -j 1 -t 1200 \
		$(if $(T),$(T),$(FAULT_TESTS))

$(O)/unit/flags: FORCE
	$(call write-if-changed,$(UNIT_COMPILE))

$(UNIT_OBJS): $(O)/unit/%.o: t/unit/%.c $(O)/unit/flags
	$(say) '  CC      $@'
	$(Q)$(UNIT_COMPILE) -MMD -MP -c -o $@ $<

$(UNIT_BINS): %: %.o $(UNIT_HELP_OBJS) $(LIBFCNG)
	$(say) '  LINK    $@'
	$(Q)$(CC) $(SAN_FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(UNIT_HELP_OBJS) \
		$(LIBFCNG) -lcmocka -lpthread

-include $(UNIT_OBJS:.o=.d)

valgrind: core unit
	@$(check-env) $(PERL) build/valgrind-tests $(if $(HAVE_CMOCKA),$(UNIT_BINS))

# Under valgrind a load takes longer than its test allows: the slow set is not
# among them, nor is what preloads a malloc() or kills under load.
VALGRIND_TESTS := $(filter-out t/apache-% t/cli-% t/config-% t/docs-% \
	t/build.t t/demo.t t/faults-%,$(PERL_TESTS))

valgrind-nginx: tests-built
	@$(check-env) FCNG_HOSTS=nginx FCNG_VALGRIND=1 build/run-tests -j 1 \
		$(or $(T),$(VALGRIND_TESTS))

# Targets for libFuzzer, with clang: FUZZ_TIME seconds each.
FUZZ_CC ?= clang
FUZZ_TIME ?= 60
FUZZ_BINS := $(patsubst t/fuzz/%.c,$(O)/fuzz/%,$(wildcard t/fuzz/*.c))

.PHONY: fuzz
fuzz: $(FUZZ_BINS)
	@for bin in $(FUZZ_BINS); do mkdir -p $$bin.corpus && \
	 $$bin -max_total_time=$(FUZZ_TIME) -max_len=4096 \
		-artifact_prefix=$$bin. $$bin.corpus || exit 1; done

$(O)/fuzz/%: t/fuzz/%.c $(CORE_LIST)
	$(say) '  FUZZ    $@'
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FCNG_CPPFLAGS) -D_GNU_SOURCE -std=gnu11 -g -O1 \
		-fsanitize=fuzzer,address,undefined -o $@ $< $(CORE_LIST)

demo:
	@build/setup --quiet
	@$(MAKE) --no-print-directory demo-run

.PHONY: demo-run
demo-run: all apps
	@$(check-env) $(PERL) -It/lib build/demo

bench: tests-built
	@$(check-env) $(PERL) -It/lib t/bench/bench.pl

check-nginx-tests: nginx-static
	@test -n '$(NGINX_TESTS)' || { echo 'NGINX_TESTS=dir: the folder of a\
	 checkout of nginx-tests' >&2; exit 2; }
	@$(check-env) FCNG_NGINX='$(TOP)/$(NGINX_STATIC)' $(PERL) \
		t/nginx-tests '$(NGINX_TESTS)' $(T)
