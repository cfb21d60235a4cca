#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The table of floors in docs/architecture.md has each file of the core, on the
# floor that build/layers.txt gives it.
use strict;
use warnings;
use FCNG::Util qw(slurp top);
use Test::More;

my $top = top();
my %floor;
for my $line (split /\n/, slurp("$top/build/layers.txt")) {
    my ($n, $nouns) = $line =~ /^floor (\d+): (.*)/ or next;
    $floor{$_} = $n for split ' ', $nouns;
}
my %told;
for my $row (split /\n/, slurp("$top/docs/architecture.md")) {
    my ($n, $nouns) = $row =~ /^\| (\d) \| ([^|]*?) \|/ or next;
    $told{$_} = $n for split /, /, $nouns;
}
my %there = map { m{/fcng_(\w+)\.c$} ? ($1 => $floor{$1}) : () }
    glob "$top/core/src/*.c";
cmp_ok(scalar keys %there, '>', 15, 'the core has files');
is_deeply(\%told, \%there, 'each stands where the page says');
done_testing();
