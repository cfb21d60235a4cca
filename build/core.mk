# SPDX-License-Identifier: BSD-2-Clause
#
# The core (libfcng.a) and the fcng command.

CORE_LIST := $(addprefix core/,$(shell sed 's/[#].*//' core/sources.list))
CORE_OBJS := $(CORE_LIST:core/src/%.c=$(O)/core/%.o)
LIBFCNG := $(O)/lib/libfcng.a
CORE_COMPILE = $(CC) $(FCNG_CPPFLAGS) -std=c11 $(FCNG_WARN) $(FCNG_STRICT) \
	$(FCNG_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(SAN_CFLAGS)

.PHONY: core fcng
core: $(LIBFCNG)

$(LIBFCNG): $(CORE_OBJS) $(O)/core/objects
	$(say) '  AR      $@'
	@mkdir -p $(@D) && rm -f $@
	$(Q)$(AR) rcs $@ $(CORE_OBJS)

# A file taken off the list leaves the archive too.
$(O)/core/objects: FORCE
	$(call write-if-changed,$(CORE_OBJS))

$(O)/core/flags: FORCE
	$(call write-if-changed,$(CORE_COMPILE))

$(O)/core/%.o: core/src/%.c $(O)/core/flags
	$(say) '  CC      $@'
	$(Q)$(CORE_COMPILE) -MMD -MP -c -o $@ $<

-include $(CORE_OBJS:.o=.d)

# ---- the command: the smallest adapter, with APR's sockets and options ----

APR_CONFIG ?= $(call find-tool,apr-1-config)
APU_CONFIG ?= $(call find-tool,apu-1-config)
CLI_SRCS := $(sort $(wildcard core/cli/*.c))
CLI_OBJS := $(CLI_SRCS:core/cli/%.c=$(O)/cli/%.o)
FCNG := $(O)/bin/fcng

APR_MISSING := $(if $(CLI_SRCS),$(if $(APR_CONFIG),$(if $(APU_CONFIG),,\
	apu-1-config not found),apr-1-config not found),core/cli has no sources)
SKIP_VAR_fcng := APR
SKIP_WHAT_fcng := the fcng command

APR_CFLAGS = $(shell $(APR_CONFIG) --cppflags --cflags) $(patsubst -I%,\
	-isystem %,$(shell $(APR_CONFIG) --includes; $(APU_CONFIG) --includes))
APR_LIBS = $(shell $(APU_CONFIG) --link-ld; $(APR_CONFIG) --link-ld --libs)
CLI_COMPILE = $(CC) $(FCNG_CPPFLAGS) $(APR_CFLAGS) -std=gnu11 $(FCNG_WARN) \
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	$(FCNG_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(SAN_CFLAGS)

ifeq ($(strip $(APR_MISSING)),)
fcng: $(FCNG)
else
fcng:
	@echo '$(strip $(APR_MISSING))' >&2; exit 1
endif

$(FCNG): $(CLI_OBJS) $(LIBFCNG)
	$(say) '  LINK    $@'
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN_FLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(CLI_OBJS) \
		$(LIBFCNG) $(APR_LIBS)

$(O)/cli/flags: FORCE
	$(call write-if-changed,$(CLI_COMPILE))

$(O)/cli/%.o: core/cli/%.c $(O)/cli/flags
	$(say) '  CC      $@'
	$(Q)$(CLI_COMPILE) -MMD -MP -c -o $@ $<

-include $(CLI_OBJS:.o=.d)
