# SPDX-License-Identifier: BSD-2-Clause
#
# Nothing configured but the address: nginx and Apache beside each other, both
# on one php-fpm that Debian's own pool file configures (five children at
# most).  Sixty-four clients of each for half a minute, then one of each.
# Nobody fails, nobody is starved, and a server that has become idle keeps
# nothing from the other for longer than idle_timeout.
use strict;
use warnings;
use FCNG::HTTP ();
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Util qw(slurp tmpdir);
use List::Util qw(min max);
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{FAIR_SECONDS} // 30;
my $file = (glob '/etc/php/*/fpm/pool.d/www.conf')[0];
my ($missing) = grep { $_ } FCNG::Programs->missing('php_fpm'),
    FCNG::Host::Nginx->missing, FCNG::Host::Apache->missing;
plan skip_all => $missing if $missing;
plan skip_all => "Debian's php-fpm pool file missing" if !$file;

# So many clients of a server; each client's times in a file of its own.
sub clients {
    my ($host, $n, $for) = @_;
    my $dir = tmpdir();
    my $port = $host->port;
    my $load = FCNG::Load->start($n, sub {
        my ($i) = @_;
        my $from = time;
        my $r = FCNG::HTTP::get($port, '/x.php', seconds => 30);
        my $took = time - $from;
        open my $out, '>>', "$dir/$i" or die "$dir/$i: $!\n";
        print $out "$took\n";
        close $out;
        return $r->{status} == 200 && $r->{body} eq 'served' ? ''
            : "status $r->{status} " . ($r->{error} // '');
    }, seconds => $for + 30);
    return { host => $host, load => $load, dir => $dir, n => $n };
}

# The times of each client; no request failed.
sub durations {
    my ($clients) = @_;
    my ($count, @faults) = $clients->{load}->stop;
    is(join(', ', @faults), '', $clients->{host}->name
        . ": $count requests, none failed");
    return map { [split /\n/, slurp("$clients->{dir}/$_")] }
        1 .. $clients->{n};
}

sub at {
    my ($part, @times) = @_;
    return (sort { $a <=> $b } @times)[$part * $#times];
}

# All servers at once: the slow ones take no more than three times the usual,
# and no client gets less than half of what others get.
sub together {
    my ($what, $n, $for, @hosts) = @_;
    my @all = map { clients($_, $n, $for) } @hosts;
    sleep $for;
    for my $clients (@all) {
        my $name = $clients->{host}->name;
        my @lists = durations($clients);
        my @times = map { @$_ } @lists;
        my ($p50, $p99) = (at(0.5, @times), at(0.99, @times));
        cmp_ok($p99, '<=', 3 * $p50, sprintf '%s, %s: p50 %.1f ms, p99 %.1f'
            . ' ms, longest %.1f ms', $name, $what, 1000 * $p50, 1000 * $p99,
            1000 * at(1, @times));
        my $mean = @times / @lists;
        my $least = min(map { scalar @$_ } @lists);
        cmp_ok($least, '>=', $mean / 2, sprintf '%s, %s: nobody is starved:'
            . ' at least %d, on average %.0f', $name, $what, $least, $mean);
    }
}

# One server has had all of php-fpm and has nothing to do any more: its idle
# connections (idle_timeout=1s) are in the other's way for that time at most.
sub after_another {
    my ($busy, $other) = @_;
    my $clients = clients($busy, 16, 2);
    sleep 2;
    durations($clients);
    my @clients = map { $other->client } 1 .. 8;
    my $from = time;
    $_->send(FCNG::HTTP::head('GET', '/x.php')) for @clients;
    my ($ok, $longest) = (0, 0);
    for my $client (@clients) {
        $ok += $client->response(seconds => 10)->{status} == 200;
        $longest = max($longest, time - $from);
        $client->close;
    }
    is($ok, 8, $other->name . ' after ' . $busy->name . ': all are served');
    cmp_ok($longest, '<=', 1.2, sprintf 'within %.3f s', $longest);
}

my $php = FCNG::Programs->php_fpm(pool_file => $file);
my @hosts = (FCNG::Host::Nginx->new(workers => 8),
    FCNG::Host::Apache->new(workers => 4, threads => 32));
for my $host (@hosts) {
    # Five milliseconds, of which two are work.
    $host->file('x.php', '<?php $x = 0; for ($i = 0; $i < 100000; $i++)'
        . ' $x += $i; usleep(3000); echo "served";');
    $host->files('.php', app => $php);
    $host->status_at('/status');
    $host->start;
}
together('sixty-four clients of each', 64, $seconds, @hosts);
together('one of each', 1, $seconds / 6, @hosts);
after_another(@hosts);
after_another(reverse @hosts);
for my $host (@hosts) {
    my ($row) = values %{ $host->status };
    is($row->{complete}, $row->{requests}, $host->name
        . ': each was answered at once');
    $host->finish;
}
done_testing();
