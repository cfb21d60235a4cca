# SPDX-License-Identifier: BSD-2-Clause
#
# Kind slow: an application that answers each request after 50 ms and serves
# all connections at once, as what waits for a database does.  What counts is
# how many requests are under way, and what connections they take.
package Slow;

use strict;
use warnings;
use Bench;
use List::Util qw(min);
use Measure;
use Servers;
use Speed;

use constant { SLOW_CLIENTS => 256, DELAY => 50 };

my %ways = (ng => 'ours', shared => 'ours, shared', builtin => 'built in');

sub measure {
    my ($name) = @_;
    my $app = application();
    my $host = server($name, $app, threads => SLOW_CLIENTS + 16);
    # A run loses what is under way at its end.
    my ($made, @rounds) = Speed::rounds($host, $app,
        { path => 'd' . DELAY . '/1024', clients => SLOW_CLIENTS,
            seconds => $Bench::seconds + 1, ways => [sort keys %ways] },
        min(3, Bench::half()));
    printf "\n%s: an application that takes %d ms, %d clients: at most %d "
        . "requests/s\n", $name, DELAY, SLOW_CLIENTS,
        SLOW_CLIENTS * 1000 / DELAY;
    printf "%-13s %9s %7s %9s %9s %7s %6s %9s\n", '', 'req/s', 'ratio',
        'p50 ms', 'p99 ms', 'CPU us', 'failed', 'conns';
    report($name, $_, \@rounds) for qw(ng shared builtin);
    note("$name: slow: other processes disturbed the runs, see "
        . 'docs/benchmarks.md') if $made == 2 * @rounds;
    $host->stop;
}

sub report {
    my ($name, $way, $rounds) = @_;
    my @runs = map { $_->{$way} } @$rounds;
    my %r = map { my $what = $_;
        $what => Measure::median(map { $_->{$what} } @runs) }
        qw(rate p50_us p99_us cpu_us connections replaced);
    $r{ratio} = Measure::median(map { $_->{$way}{rate} / $_->{builtin}{rate} }
        @$rounds);
    $r{bad} += $_->{bad} for @runs;
    $Bench::result{slow}{$name}{$way} = \%r;
    printf "%-13s %9d %7.2f %9.1f %9.1f %7.1f %6d %9s\n", $ways{$way},
        $r{rate}, $r{ratio}, $r{p50_us} / 1e3, $r{p99_us} / 1e3,
        @r{qw(cpu_us bad)}, Servers::conns(\%r);
    return if $way eq 'builtin';
    bar("$name: requests/s at 50 ms, $ways{$way}, ratio", $r{ratio}, '>=',
        0.95, '%.3f');
    bar("$name: failed requests at 50 ms, $ways{$way}", $r{bad}, '<=', 0,
        '%d') if $r{bad};
}

1;
