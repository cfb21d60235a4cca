# SPDX-License-Identifier: BSD-2-Clause
#
# The nginx module, by nginx's own configure and ngx_module/config: against
# the headers that nginx-dev installs (NGINX_SRC), and linked into an nginx
# made from its source package.

NGINX_SRC ?= $(firstword $(wildcard /usr/share/nginx/src))
NGINX_BIN ?= $(call find-tool,nginx)
NGINX_MODULE := $(O)/nginx/ngx_http_fastcgi_ng_module.so
NGINX_SRCS := $(sort $(wildcard ngx_module/*.c))
NGINX_INPUT = $(NGINX_SRCS) $(wildcard ngx_module/*.h) $(CORE_LIST) \
	$(wildcard core/src/*.h core/include/fcng/*.h)

NGINX_MISSING := $(if $(NGINX_SRCS),$(if $(wildcard \
	$(NGINX_SRC)/auto/module),,sources of nginx not found (NGINX_SRC)),\
	ngx_module has no sources)
SKIP_VAR_nginx := NGINX
SKIP_WHAT_nginx := nginx module

# nginx sets -Werror itself; a newer compiler's new warning must not stop a
# user's build.  Packagers' -Wdate-time and the like come with CPPFLAGS.
NGINX_CC_OPT = $(if $(filter 1,$(WERROR)),,-Wno-error) $(CPPFLAGS) $(CFLAGS) \
	$(SAN_CFLAGS) $(if $(findstring undefined,$(SAN)),$(NGINX_UB)) \
	$(if $(findstring address,$(SAN)),$(NGINX_PALLOC))
# nginx copies no bytes from NULL here and there, and stores numbers at any
# address where the processor lets it; that is not for us to fix.
NGINX_UB := -fno-sanitize=nonnull-attribute,alignment
# Else what is allocated from a pool has no bounds that could be watched.
NGINX_PALLOC := -DNGX_DEBUG_PALLOC=1
NGINX_LD_OPT = $(SAN_FLAGS) $(LDFLAGS)

# CFLAGS=... typed after make would replace those of nginx's own makefile.
NGINX_MAKE = MAKEFLAGS="$${MAKEFLAGS%% -- *}" $(MAKE) --no-print-directory

.PHONY: nginx nginx-static
ifeq ($(strip $(NGINX_MISSING)),)
nginx: $(NGINX_MODULE)
else
nginx:
	@echo '$(strip $(NGINX_MISSING))' >&2; exit 1
endif

# nginx's make knows the dependencies; ours only decides whether to ask it.
$(NGINX_MODULE): $(O)/nginx/objs/Makefile $(NGINX_INPUT) build/ngx_module.map
	$(say) '  NGINX   $@'
	$(Q)rm -f $(O)/nginx/objs/$(@F)
	+$(Q)$(NGINX_MAKE) -C $(O)/nginx/src -f $(TOP)/$(O)/nginx/objs/Makefile \
		modules $(if $(Q),>$(O)/nginx/make.log || \
		{ cat $(O)/nginx/make.log; exit 1; })
	$(Q)cp $(O)/nginx/objs/$(@F) $@

# configure may write into its own folder: it works on a copy.
$(O)/nginx/objs/Makefile: ngx_module/config core/sources.list \
		$(O)/nginx/flags $(O)/nginx/sources
	$(say) '  CONF    $(@D)'
	$(Q)rm -rf $(O)/nginx/src $(@D)
	$(Q)cp -RL $(NGINX_SRC) $(O)/nginx/src && chmod -R u+w $(O)/nginx/src
	$(Q)build/nginx-configure $(O)/nginx/src --builddir=$(TOP)/$(@D) \
		--with-cc='$(CC)' --with-cc-opt='$(NGINX_CC_OPT)' \
		--with-ld-opt='$(NGINX_LD_OPT)' \
		--add-dynamic-module=$(TOP)/ngx_module \
		>$(O)/nginx/configure.log 2>&1 || \
		{ cat $(O)/nginx/configure.log; exit 1; }

$(O)/nginx/flags: FORCE
	$(call write-if-changed,$(NGINX_SRC) $(CC) $(NGINX_CC_OPT) $(NGINX_LD_OPT))

$(O)/nginx/sources: FORCE
	$(call write-if-changed,$(NGINX_SRCS) $(CORE_LIST))

# ---- static: epoll, poll and select in one binary, chosen by `use` --------

# Where build/setup --nginx-source puts Debian's source package.
FCNG_NGINX_SOURCE ?= $(TOP)/out/nginx-source
NGINX_TREE = $(patsubst %/configure,%,$(firstword $(wildcard \
	$(FCNG_NGINX_SOURCE)/configure $(FCNG_NGINX_SOURCE)/nginx-*/configure \
	$(FCNG_NGINX_SOURCE)/auto/configure)))
NGINX_STATIC := $(O)/nginx-src/static/nginx

ifeq ($(NGINX_TREE),)
NGINX_STATIC_MISSING := source of nginx not found
endif
SKIP_VAR_nginx-static := NGINX_STATIC
SKIP_WHAT_nginx-static := nginx with the module linked in

NGINX_STATIC_FLAGS = --with-debug --with-threads --with-poll_module \
	--with-select_module --with-http_ssl_module --with-http_v2_module \
	--with-http_slice_module --with-http_auth_request_module \
	--with-http_realip_module --with-http_stub_status_module \
	--with-http_addition_module --with-http_sub_module \
	--with-http_gunzip_module --with-http_gzip_static_module \
	--with-http_dav_module

ifeq ($(NGINX_TREE),)
nginx-static:
	@echo '$(NGINX_STATIC_MISSING); get it by build/setup --nginx-source' >&2
	@exit 1
else
nginx-static: $(NGINX_STATIC)
endif

$(NGINX_STATIC): $(O)/nginx-src/objs/Makefile $(NGINX_INPUT)
	$(say) '  NGINX   $@'
	+$(Q)$(NGINX_MAKE) -C $(O)/nginx-src/src -f $(TOP)/$(O)/nginx-src/objs/Makefile \
		binary $(if $(Q),>$(O)/nginx-src/make.log || \
		{ cat $(O)/nginx-src/make.log; exit 1; })
	$(Q)mkdir -p $(@D) && cp $(O)/nginx-src/objs/nginx $@

$(O)/nginx-src/objs/Makefile: ngx_module/config core/sources.list \
		$(O)/nginx-src/flags $(O)/nginx-src/sources
	$(say) '  CONF    $(@D)'
	$(Q)rm -rf $(O)/nginx-src/src $(@D)
	$(Q)cp -RL $(NGINX_TREE) $(O)/nginx-src/src
	$(Q)build/nginx-configure --plain $(O)/nginx-src/src \
		--builddir=$(TOP)/$(@D) --with-cc='$(CC)' \
		--with-cc-opt='$(NGINX_CC_OPT)' --with-ld-opt='$(NGINX_LD_OPT)' \
		$(NGINX_STATIC_FLAGS) --add-module=$(TOP)/ngx_module \
		>$(O)/nginx-src/configure.log 2>&1 || \
		{ cat $(O)/nginx-src/configure.log; exit 1; }

$(O)/nginx-src/flags: FORCE
	$(call write-if-changed,$(NGINX_TREE) $(CC) $(NGINX_CC_OPT) \
		$(NGINX_LD_OPT) $(NGINX_STATIC_FLAGS))

$(O)/nginx-src/sources: FORCE
	$(call write-if-changed,$(NGINX_SRCS) $(CORE_LIST))
