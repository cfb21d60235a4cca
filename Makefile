# SPDX-License-Identifier: BSD-2-Clause
#
# fastcgi-ng: FastCGI for Apache httpd and nginx.  `make help` lists the
# targets.  Everything that is made goes to out/; build/ holds sources.

.DEFAULT_GOAL := all

include build/config.mk
include build/core.mk
include build/apache.mk
include build/nginx.mk
include build/apps.mk
include build/check.mk
include build/package.mk

.PHONY: all help clean

all: core $(call if-host,APACHE,apache) $(call if-host,NGINX,nginx) \
	$(call if-host,APR,fcng)

clean:
	rm -rf out

help:
	@echo 'make               the core, then what the hosts found here allow'
	@echo 'make core          out/lib/libfcng.a'
	@echo 'make apache        out/apache/mod_fastcgi_ng.so      (APXS=)'
	@echo 'make nginx         out/nginx/ngx_http_fastcgi_ng_module.so'
	@echo '                   (NGINX_SRC=, NGINX_BIN=)'
	@echo 'make fcng          out/bin/fcng, the command'
	@echo 'make nginx-static  nginx with the module linked in, from the source'
	@echo '                   that build/setup --nginx-source fetched'
	@echo 'make demo          both servers with PHP and C applications; ONCE=1'
	@echo 'make check         all quick tests (STRICT=1: a skip is a failure)'
	@echo 'make check-unit check-layers check-style check-symbols check-headers'
	@echo 'make check-apache check-nginx check-faults check-slow check-deb'
	@echo '     T=file: one'
	@echo 'make check-nginx-tests NGINX_TESTS=dir    the tests of nginx itself'
	@echo 'make valgrind      the unit tests under valgrind'
	@echo 'make valgrind-nginx   host tests, nginx under valgrind'
	@echo 'make fuzz          libFuzzer over t/fuzz, with clang (FUZZ_TIME=)'
	@echo 'make bench         measurements against the built-in modules'
	@echo 'make install       DESTDIR= PREFIX=; edits no configuration'
	@echo 'make dist deb      a tarball of HEAD; Debian packages of HEAD'
	@echo 'make clean         removes out/'
	@echo 'SAN=address,undefined or SAN=thread before any target: with that'
	@echo 'sanitizer, in out/san-*.  WERROR=1: warnings are errors.  V=1: show'
	@echo 'the commands.  CC CPPFLAGS CFLAGS LDFLAGS are yours.'
