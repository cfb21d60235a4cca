# SPDX-License-Identifier: BSD-2-Clause
#
# The fault matrix of t/faults.t on connections that requests share.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

$ENV{FCNG_MODE} = 'multiplex';
do(dirname(abs_path(__FILE__)) . '/faults.t') // die $@ || $!;
