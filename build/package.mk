# SPDX-License-Identifier: BSD-2-Clause
#
# Installing, the tarball, Debian packages.

VERSION := $(shell sed -n \
	's/^.define FCNG_VERSION *"\([^"]*\)".*/\1/p' core/include/fcng/*.h)
BINDIR ?= $(PREFIX)/bin
DOCDIR ?= $(PREFIX)/share/doc/fastcgi-ng

# Where this nginx looks for modules and for what it includes.
nginx-option = $(shell '$(NGINX_BIN)' -V 2>&1 | tr ' ' '\n' \
	| sed -n 's/^--$(1)=//p')
NGINX_MODULES_DIR ?= $(or $(call \
	nginx-option,modules-path),/usr/lib/nginx/modules)
NGINX_CONF_DIR ?= $(or $(patsubst %/,%,$(dir $(call \
	nginx-option,conf-path))),/etc/nginx)
TWINS := fastcgi_ng_params fastcgi_ng.conf snippets/fastcgi_ng-php.conf

.PHONY: install install-apache install-nginx install-fcng install-doc \
	dist deb check-deb
install: all install-doc \
	$(if $(strip $(APACHE_MISSING)),,install-apache) \
	$(if $(strip $(NGINX_MISSING)),,install-nginx) \
	$(if $(strip $(APR_MISSING)),,install-fcng)

install-apache: apache
	$(INSTALL) -d '$(DESTDIR)$(APACHE_LIBEXECDIR)'
	$(INSTALL) -m 644 $(APACHE_MODULE) '$(DESTDIR)$(APACHE_LIBEXECDIR)'

# The twins are new files beside fastcgi_params; one that somebody changed
# stays, and ours lies beside it.
install-nginx: nginx
	$(INSTALL) -d '$(DESTDIR)$(NGINX_MODULES_DIR)' \
		'$(DESTDIR)$(NGINX_CONF_DIR)/snippets'
	$(INSTALL) -m 644 $(NGINX_MODULE) '$(DESTDIR)$(NGINX_MODULES_DIR)'
	@for f in $(TWINS); do \
		to='$(DESTDIR)$(NGINX_CONF_DIR)'/$$f; \
		if test -e "$$to" && ! cmp -s ngx_module/conf/$$f "$$to"; then \
			echo "$$to differs: ours is $$to.new"; to=$$to.new; fi; \
		echo "$(INSTALL) -m 644 ngx_module/conf/$$f $$to"; \
		$(INSTALL) -m 644 ngx_module/conf/$$f "$$to" || exit 1; \
	done

install-fcng: fcng
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)'
	$(INSTALL) -m 755 $(FCNG) '$(DESTDIR)$(BINDIR)'

install-doc:
	$(INSTALL) -d '$(DESTDIR)$(DOCDIR)/samples'
	$(INSTALL) -m 644 README.md LICENSE CHANGES.md \
		$(wildcard docs/*.md) '$(DESTDIR)$(DOCDIR)'
	$(INSTALL) -m 644 docs/samples/*.conf '$(DESTDIR)$(DOCDIR)/samples'

# What HEAD has, and nothing else.
dist:
	@test -e .git || { echo 'make dist needs a clone: this folder is none' \
		>&2; exit 2; }
	@mkdir -p out
	git -c safe.directory='$(TOP)' archive --format=tar.gz --prefix=fastcgi-ng-$(VERSION)/ \
		-o out/fastcgi-ng-$(VERSION).tar.gz HEAD
	@echo out/fastcgi-ng-$(VERSION).tar.gz

# debian/ has to lie at the top, as a folder; build/make-deb puts it there.
deb:
	@build/setup --quiet --deb
	@build/make-deb '$(VERSION)' out/deb

check-deb:
	@build/setup --quiet --deb
	@build/run-tests -t 3600 build/check-deb
