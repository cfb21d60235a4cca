#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# make bench: our modules against those that come with the servers, and the
# bars that they must keep to.  docs/benchmarks.md tells how to read it.
#
#   ROUNDS=10     rounds of a comparison (1 KiB: more; rows without a bar: half;
#                 slow: three at most; fair: one); as many again when other
#                 processes disturb them
#   SECONDS=1     of one run
#   REQUESTS=500000   for the growth of memory
#   ONLY=...      by comma: nginx apache | speed calls slow growth peak mixed
#                 filter fair |
#                 1k 1k-unannounced 16k 64k post-64k 1k-shared 1k-shared-256
#                 authorizer
#
# Exit code 0: every bar that was measured is kept; 1: one is not; 2: nothing
# can be measured.
use strict;
use warnings;
use FCNG::Programs;
use FCNG::Util qw(find_tool);
use File::Basename qw(dirname);
use Time::HiRes qw(time);
use lib dirname(__FILE__);
use Bench;
use Measure;
use Servers;
use Speed;
use Slow;
use Memory;
use Mixed;
use Filters;
use Fair;

$| = 1;
Bench::choose([qw(speed calls slow growth peak mixed filter fair)],
    [Speed::rows()]);
find_tool('wrk') or Bench::die_unable('wrk missing');
my $missing = FCNG::Programs->missing('fast');
Bench::die_unable($missing) if $missing;
my $began = time;
my $measured = 0;
printf "%s, %d processors, Linux %s%s; %d clients\n",
    @{ $Bench::result{machine} }{qw(processor processors kernel)},
    $Bench::result{machine}{pinned} ? '; server on CPU 0, the rest on CPU 1'
    : '; nothing is pinned', CLIENTS;
for my $name (grep { wanted($_) } qw(nginx apache)) {
    if (my $lack = Servers::class($name)->missing) {
        note("$name: $lack");
        next;
    }
    $measured++;
    Speed::measure($name) if wanted('speed') || wanted('calls');
    Slow::measure($name) if wanted('slow');
    Memory::growth($name) if wanted('growth');
    Memory::peak($name) if wanted('peak');
    Mixed::measure($name) if wanted('mixed');
    if (wanted('filter')) {
        my $lack = FCNG::Programs->missing('upper');
        $lack ? note("$name: Filter: $lack") : Filters::measure($name);
    }
}
Fair::measure() if wanted('fair') && (Bench::named('fair')
    || (wanted('nginx') && wanted('apache')));
Bench::die_unable('no server to measure') if !$measured;
my $missed = Bench::bars();
$Bench::result{took_seconds} = int(time - $began);
Bench::write_json();
exit($missed ? 1 : 0);
