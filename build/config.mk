# SPDX-License-Identifier: BSD-2-Clause
#
# What all parts share: folders, compiler flags, how a host is found.

SHELL := /bin/sh
TOP := $(CURDIR)
ifneq ($(words $(TOP)),1)
$(error make and nginx cannot build in a folder whose path has blanks: $(TOP))
endif
# Quotes, $ & : ; , = and the like mean something to make, to nginx's configure
# or to the linker.
ODD := $(shell pwd -P | LC_ALL=C tr -d 'A-Za-z0-9/._+@%~\n\200-\377-')
ifneq ($(ODD),)
$(error make and nginx cannot build in a folder whose path has $(ODD) in it: \
$(TOP))
endif

# Objects made with a sanitizer never meet others: they have a folder.
O := out$(if $(SAN),/san-$(SAN))

PREFIX ?= /usr/local
INSTALL ?= install
PERL ?= perl
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)

CFLAGS ?= -O2 -g
CXX ?= c++

# Ours come first, so that the user's CPPFLAGS, CFLAGS and LDFLAGS win.
FCNG_CPPFLAGS = -Icore/include
FCNG_WARN = -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror)
FCNG_STRICT = -pedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla
FCNG_CFLAGS = -fvisibility=hidden -fPIC

ifneq ($(SAN),)
SAN_FLAGS := -fsanitize=$(SAN) -fno-omit-frame-pointer \
	$(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=undefined)
# glibc's checked functions hide from the sanitizers what they watch for.
SAN_CFLAGS := $(SAN_FLAGS) -U_FORTIFY_SOURCE
# A server that was built without the sanitizer needs its runtime first.
san-runtime = $(shell $(CC) -print-file-name=lib$(1).so)
SAN_PRELOAD := $(if $(findstring address,$(SAN)),$(call san-runtime,asan))$(if \
	$(findstring thread,$(SAN)),$(call san-runtime,tsan))
ifneq ($(findstring thread,$(SAN)),)
APR_ATOMIC := $(O)/apache/apr_atomic.so
SAN_PRELOAD := $(SAN_PRELOAD)$(if $(wildcard t/san/apr_atomic.c),:$(TOP)/$(APR_ATOMIC))
endif
endif

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @echo
endif

# An ordinary user's PATH often lacks the folders where servers live.
SBIN_PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
find-tool = $(firstword $(foreach t,$(1),$(shell \
	PATH='$(SBIN_PATH)' command -v $(t) 2>/dev/null)))

# $(call if-host,NAME,target): the target when NAME_MISSING is empty, else a
# line that says why it is left out.
if-host = $(if $(strip $($(1)_MISSING)),skip-$(2),$(2))
skip-%:
	@echo '$(or $(strip $($(SKIP_VAR_$*)_MISSING)),$*): $(SKIP_WHAT_$*) skipped'

# Rewrites $@ only when its words change: what depends on it is made again
# with the new flags, and only then.
define write-if-changed
@mkdir -p $(@D)
@printf '%s\n' '$(subst ','\'',$(strip $(1)))' | cmp -s - $@ || \
	printf '%s\n' '$(subst ','\'',$(strip $(1)))' > $@
endef

.PHONY: FORCE
FORCE:
