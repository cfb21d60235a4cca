# SPDX-License-Identifier: BSD-2-Clause
#
# A sparse file of 5 GiB through a Filter application.
use strict;
use warnings;
use FCNG::Util qw(top);

$ENV{LARGE_FILE_MIB} = 5 * 1024;
my $test = top() . '/t/file-filter-real.t';
do $test or die $@ || "$test: $!\n";
