#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# docs/protocol.md against the unit tests: each test that it names is run, each
# test with a number in its name stands in its table, and each function that
# it names is where it says.  Faults seen elsewhere have tests of their number.
use strict;
use warnings;
use Test::More;

my $top = $ENV{FCNG_TOP} // '.';

sub slurp {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    local $/;
    return <$in>;
}

my $doc = slurp("$top/docs/protocol.md");
my %run;
for my $file (glob "$top/t/unit/test_*.c") {
    $run{$_} = $file for slurp($file) =~ /cmocka_unit_test\((\w+)\)/g;
}
my %told = map { $_ => 1 } $doc =~ /`(test_\w+)`/g;

cmp_ok(scalar keys %told, '>', 50, 'the tables name tests');
is_deeply([sort grep { !$run{$_} } keys %told], [],
    'each test that is named is run');
is_deeply([sort grep { /point\d|law\d|points\d|laws_\d/ && !$told{$_} }
        keys %run], [], 'each test with a number is named');

my @lost;
for my $row (grep { /^\| \d+ \|/ } split /\n/, $doc) {
    my (undef, $n, $what, $where) = split /\s*\|\s*/, $row;
    my @files = $where =~ /(fcng_\w+\.[ch])/g;
    my $sources = join '', map { slurp("$top/core/src/$_") } @files;
    push @lost, "$n: no file" unless @files;
    push @lost, map { "$n: $_" }
        grep { $sources !~ /\b\Q$_\E\(/ } $where =~ /`(\w+)`/g;
}
is_deeply(\@lost, [], 'each function is where the table says');

# A test that says which law or point it is about: point7, points30_to_34.
sub is_about {
    my ($test, $word, $n) = @_;
    return 1 if $test =~ /${word}s?_?${n}(?!\d)/;
    return $test =~ /${word}s_?(\d+)_to_(\d+)/ && $1 <= $n && $n <= $2;
}

# Every law, and every point that concerns a role, has such a test.
my %kind = (law => [1 .. 10], point => [1 .. 64]);
my ($laws, $points) = split /^## Points$/m, $doc;
my %part = (law => $laws, point => $points);
for my $word (sort keys %kind) {
    my %row = map { /^\| (\d+) \|/ ? ($1 => $_) : () }
        split /\n/, $part{$word};
    my @missing = grep { !$row{$_} } @{ $kind{$word} };
    is("@missing", '', "each $word has its row");
    my @untested = grep {
        my $n = $_;
        !grep { is_about($_, $word, $n) } ($row{$n} // '') =~ /`(test_\w+)`/g
    } sort { $a <=> $b } keys %row;
    is("@untested", '', "each $word has a test of its number");
}

# Each fault seen elsewhere has a row, and tests in that file that name it.
my %fault = $doc =~ /^\| P(\d+) \|.*`(t\/\S+\.t)` \|$/mg;
is(join(' ', sort { $a <=> $b } keys %fault),
    join(' ', 2 .. 11, 15, 16, 18, 19, 23), 'each fault has its row');
is_deeply([grep { slurp("$top/$fault{$_}") !~ /\bP$_: / }
    sort { $a <=> $b } keys %fault], [], 'and a test of its number');
done_testing();
