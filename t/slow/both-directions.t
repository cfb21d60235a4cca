# SPDX-License-Identifier: BSD-2-Clause
#
# t/both-directions.t with 64 MiB in each way, of known and unknown length.
use strict;
use warnings;
use File::Basename qw(dirname);

BEGIN { $ENV{ALL} = 1 }
my $file = dirname(__FILE__) . '/../both-directions.t';
do "./$file" // do $file // die $@ || $!;
