# SPDX-License-Identifier: BSD-2-Clause
#
# How fair the queue of several processes is, and how soon one is woken.
use strict;
use warnings;
use FCNG::Util qw(top);

$ENV{PARTS} = 'fair,woken';
my $test = top() . '/t/limits.t';
do $test or die $@ || "$test: $!\n";
