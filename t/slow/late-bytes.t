# SPDX-License-Identifier: BSD-2-Clause
#
# t/late-bytes.t with 10 000 requests.
use strict;
use warnings;
use File::Basename qw(dirname);

BEGIN { $ENV{RUNS} ||= 10_000 }
my $file = dirname(__FILE__) . '/../late-bytes.t';
do "./$file" // do $file // die $@ || $!;
