# SPDX-License-Identifier: BSD-2-Clause
#
# mod_fastcgi_ng.so, compiled with the flags that apxs tells.  `apxs -c` is
# not used: it writes into the source tree.

APXS ?= $(call find-tool,apxs apxs2)
APACHE_SRCS := $(sort $(wildcard mod_fastcgi_ng/*.c))
APACHE_OBJS := $(APACHE_SRCS:mod_fastcgi_ng/%.c=$(O)/apache/%.o)
APACHE_MODULE := $(O)/apache/mod_fastcgi_ng.so
APACHE_MAP := build/mod_fastcgi_ng.map

APACHE_MISSING := $(if $(APACHE_SRCS),$(if $(APXS),,apxs not found),\
	mod_fastcgi_ng has no sources)
SKIP_VAR_apache := APACHE
SKIP_WHAT_apache := Apache module

# apxs is a slow script: it is asked once, and only when needed.
apxs-q = $(shell $(APXS) -q $(1) 2>/dev/null)
APXS_CFLAGS = $(eval APXS_CFLAGS := $$(call apxs-q,CFLAGS) \
	$$(call apxs-q,CPPFLAGS) $$(call apxs-q,EXTRA_CPPFLAGS) \
	$$(call apxs-q,EXTRA_CFLAGS) $$(addprefix -isystem ,$$(sort \
	$$(call apxs-q,INCLUDEDIR) $$(call apxs-q,APR_INCLUDEDIR) \
	$$(call apxs-q,APU_INCLUDEDIR))))$(APXS_CFLAGS)
APXS_LDFLAGS = $(filter -Wl$(comma)%,$(call apxs-q,LDFLAGS))
comma := ,
APACHE_LIBEXECDIR = $(call apxs-q,LIBEXECDIR)
APACHE_BIN ?= $(if $(APXS),$(wildcard $(call apxs-q,sbindir)/$(call \
	apxs-q,progname)),$(call find-tool,apache2 httpd))

# Not -fvisibility=hidden: AP_DECLARE_MODULE has no attribute, and the map
# cannot show again what the compiler hid.
APACHE_COMPILE = $(CC) $(FCNG_CPPFLAGS) $(APXS_CFLAGS) -std=gnu11 \
	$(FCNG_WARN) -Wno-unused-parameter -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -fPIC $(CPPFLAGS) $(CFLAGS) $(SAN_CFLAGS)

.PHONY: apache
ifeq ($(strip $(APACHE_MISSING)),)
apache: $(APACHE_MODULE)
else
apache:
	@echo '$(strip $(APACHE_MISSING))' >&2; exit 1
endif

$(APACHE_MODULE): $(APACHE_OBJS) $(LIBFCNG) $(APACHE_MAP)
	$(say) '  LINK    $@'
	$(Q)$(CC) -shared $(APXS_LDFLAGS) $(SAN_FLAGS) $(CFLAGS) $(LDFLAGS) \
		-Wl,--version-script=$(APACHE_MAP) -o $@ $(APACHE_OBJS) $(LIBFCNG)

$(O)/apache/flags: FORCE
	$(call write-if-changed,$(APACHE_COMPILE))

$(O)/apache/%.o: mod_fastcgi_ng/%.c $(O)/apache/flags
	$(say) '  CC      $@'
	$(Q)$(APACHE_COMPILE) -MMD -MP -c -o $@ $<

# ThreadSanitizer's view of what httpd does with libapr's atomics.
ifneq ($(APR_ATOMIC),)
apache tests-built: $(APR_ATOMIC)
$(APR_ATOMIC): t/san/apr_atomic.c
	$(say) '  LINK    $@'
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -fPIC -O1 -g $(SAN_FLAGS) -o $@ $<
endif

-include $(APACHE_OBJS:.o=.d)
