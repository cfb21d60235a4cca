# SPDX-License-Identifier: BSD-2-Clause
#
# Installing and packaging.

VERSION := $(shell sed -n 's/^.*define FCNG_VERSION *"\([^"]*\)".*/\1/p' \
	core/include/fcng/*.h | head -1)
