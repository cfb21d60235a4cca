# SPDX-License-Identifier: BSD-2-Clause
#
# Kind mixed: small responses beside large ones.
package Mixed;

use strict;
use warnings;
use Bench;
use List::Util qw(min);
use Measure;
use Servers;
use Time::HiRes qw(sleep);

# Each way: where the small ones and the large ones go.  On connections of
# their own; in one pool that shares, which learns what is large and keeps it
# apart; in that pool, and each large one in a folder of its own, so that
# nothing can be learnt and all truly share; the large ones not in that pool.
my @ways = (
    { name => 'alone', small => 'ng', large => 'ng' },
    { name => 'learnt', small => 'shared', large => 'shared' },
    { name => 'sharing', small => 'shared', large => 'shared',
        new_folder => 1 },
    { name => 'apart', small => 'shared', large => 'ng' },
);

# The small ones while the large ones are under way; both count as connections.
sub beside {
    my ($host, $way) = @_;
    my $large = Measure::load_beside(clients => 4,
        url => $host->url("/$way->{large}/" . MIB),
        seconds => $Bench::seconds + 10, new_folder => $way->{new_folder});
    sleep 0.7;
    Servers::connections($host, $way->{small});
    my $run = Measure::load(url => $host->url("/$way->{small}/1024"),
        clients => 16, seconds => $Bench::seconds);
    %$run = (%$run, Servers::connections($host, $way->{small}));
    $run->{large} = Measure::end_load($large);
    $run->{bad} += $run->{large}{bad};
    return $run;
}

sub measure {
    my ($name) = @_;
    for my $how (['records in turn', 1], ['one response after another', 0]) {
        my ($what, $in_turn) = @$how;
        my $app = application(in_turn => $in_turn);
        my $host = server($name, $app);
        my %runs;
        for my $round (1 .. ($in_turn ? $Bench::rounds
            : min(3, Bench::half()))) {
            push @{ $runs{$_->{name}} }, beside($host, $_)
                for $round % 2 ? @ways : reverse @ways;
        }
        report($name, $what, $in_turn, %runs);
        $host->stop;
    }
}

# Ratios within a round, as everywhere.
sub report {
    my ($name, $what, $has_bars, %runs) = @_;
    my $where = "$name, $what";
    my %ratio;
    for my $way (map { $_->{name} } @ways) {
        my @runs = @{ $runs{$way} };
        my @ratio = map { $runs[$_]{rate} / $runs{alone}[$_]{rate} }
            0 .. $#runs;
        $ratio{$way} = Measure::median(@ratio);
        note(sprintf '%s: small beside large, %s: %d requests/s (ratio %.2f '
            . '[%.2f-%.2f]), large ones %d/s, connections %s', $where, $way,
            Measure::median(map { $_->{rate} } @runs), $ratio{$way},
            Measure::range(@ratio),
            Measure::median(map { $_->{large}{rate} } @runs),
            Servers::conns({ map { my $what = $_;
                $what => Measure::median(map { $_->{$what} } @runs) }
                qw(connections replaced) }));
        my $bad = 0;
        $bad += $_->{bad} for @runs;
        bar("$where: failed requests, $way", $bad, '<=', 0, '%d') if $bad;
    }
    return if !$has_bars;
    my %least = (sharing => 0.6, learnt => 0.9, apart => 0.9);
    bar("$name: small beside large, $_, ratio", $ratio{$_}, '>=', $least{$_},
        '%.2f') for qw(sharing learnt apart);
}

1;
