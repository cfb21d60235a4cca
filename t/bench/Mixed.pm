# SPDX-License-Identifier: BSD-2-Clause
#
# Kind mixed: small responses beside large ones.
package Mixed;

use strict;
use warnings;
use Bench;
use Measure;
use POSIX ();
use Servers;
use Time::HiRes qw(sleep);

# Small responses while large ones of the same application are under way, on
# connections of their own, in one pool that shares, which learns of the large
# ones, and with only the small ones in it.
sub beside {
    my ($host, $small, $large) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        eval { Measure::load(url => $host->url("/$large/" . MIB),
            clients => 4, seconds => $Bench::seconds + 2) };
        POSIX::_exit(0);
    }
    sleep 0.7;
    my $run = Measure::load(url => $host->url("/$small/1024"), clients => 16,
        seconds => $Bench::seconds);
    waitpid $pid, 0;
    return $run;
}

sub measure {
    my ($name) = @_;
    for my $how (['records in turn', 1], ['one response after another', 0]) {
        my ($what, $in_turn) = @$how;
        my $app = application(in_turn => $in_turn);
        my $host = server($name, $app);
        my %rate;
        my @ways = (['ng', 'ng'], ['shared', 'shared'], ['shared', 'ng']);
        for my $round (1 .. Bench::half()) {
            for my $way ($round % 2 ? @ways : reverse @ways) {
                push @{ $rate{"@$way"} }, beside($host, @$way)->{rate};
            }
        }
        my %median = map { $_ => Measure::median(@{ $rate{$_} }) }
            keys %rate;
        note(sprintf '%s, %s: small beside large: %d requests/s alone on '
            . 'connections, %d sharing (ratio %.2f), %d sharing without '
            . 'the large ones (%.2f)', $name, $what, $median{'ng ng'},
            map { ($median{$_}, $median{$_} / $median{'ng ng'}) }
                'shared shared', 'shared ng');
        if ($in_turn && $name eq 'nginx') {
            bar("$name: small beside large, all shared, ratio",
                $median{'shared shared'} / $median{'ng ng'}, '>=', 0.6,
                '%.2f');
            bar("$name: small beside large, large apart, ratio",
                $median{'shared ng'} / $median{'ng ng'}, '>=', 0.9, '%.2f');
        }
        $host->stop;
    }
}

1;
