# SPDX-License-Identifier: BSD-2-Clause
#
# Applications for the tests and the demo: t/apps/*.c with libfcgi (and
# markdown.c with libcmark), t/apps/*.go with net/http/fcgi.  Without the library or compiler an
# application is left out, and the tests that need it skip.  fast.c, for
# measurements, needs no library.  t/shim/*.c are preloaded into servers.

APP_C := $(patsubst t/apps/%.c,out/apps/%,$(wildcard t/apps/*.c))
APP_GO := $(patsubst t/apps/%.go,out/apps/%,$(wildcard t/apps/*.go))
SHIMS := $(patsubst t/shim/%.c,out/apps/%.so,$(wildcard t/shim/*.c))
GO ?= $(call find-tool,go)
HAVE_LIBFCGI := $(wildcard /usr/include/fcgiapp.h /usr/local/include/fcgiapp.h)

HAVE_LIBCMARK := $(wildcard /usr/include/cmark.h /usr/local/include/cmark.h)
ifeq ($(HAVE_LIBCMARK),)
APP_C := $(filter-out out/apps/markdown,$(APP_C))
endif

.PHONY: apps
apps: $(if $(HAVE_LIBFCGI),$(APP_C)) out/apps/fast $(SHIMS) \
	$(if $(GO),$(APP_GO))

APP_LIBS = -lfcgi -lpthread
out/apps/fast: APP_LIBS =
out/apps/markdown: APP_LIBS = -lcmark -lfcgi

out/apps/%: t/apps/%.c
	$(say) '  CC      $@'
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(FCNG_WARN) -O2 -g -o $@ $< $(APP_LIBS)

# What a test preloads into a server.
out/apps/%.so: t/shim/%.c t/shim/control.h
	$(say) '  SHIM    $@'
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(FCNG_WARN) -O2 -g -fPIC -shared -o $@ $< -ldl

# go wants a home; it gets none but out/.
out/apps/%: t/apps/%.go
	$(say) '  GO      $@'
	@mkdir -p $(@D)
	$(Q)HOME=$(TOP)/out/go GOPATH=$(TOP)/out/go GO111MODULE=off \
		GOCACHE=$(TOP)/out/go/cache GOFLAGS= GOTOOLCHAIN=local \
		$(GO) build -o $@ $<
