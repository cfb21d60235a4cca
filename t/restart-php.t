# SPDX-License-Identifier: BSD-2-Clause
#
# php-fpm is restarted and reloaded while clients keep asking.  What may be
# repeated never fails: a socket that is missing or refuses is tried again for
# up to a second, and a request that was cut off is sent once more.  What may
# not is done at most once, whatever its client was told.
use strict;
use warnings;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Util qw(slurp);
use Test::More;
use Time::HiRes qw(sleep time);

my $missing = FCNG::Programs->missing('php_fpm');
plan skip_all => $missing if $missing;

use constant CLIENTS => 6;

my %script = (
    'get.php' => '<?php usleep(10000); echo "answer to ", $_GET["n"];',
    # Says what it does before it does it.
    'post.php' => '<?php file_put_contents(getenv("DONE") ?: $_SERVER["DONE"],'
        . ' file_get_contents("php://input") . "\n", FILE_APPEND | LOCK_EX);'
        . ' usleep(5000); echo "done";',
);

FCNG::Hosts->each(log_level => 'info', sub {
    my ($host) = @_;
    my $done = $host->dir . '/tmp/done';
    $host->file($_, $script{$_}) for keys %script;
    my $php = FCNG::Programs->php_fpm(children => 4);
    $host->files('.php', app => $php, params => [DONE => $done])->start;

    my $port = $host->port;
    my $load = FCNG::Load->start(CLIENTS, sub {
        my ($n, $count) = @_;
        my $key = "$n.$count";
        if ($n % 3) {
            my $r = FCNG::HTTP::get($port, "/get.php?n=$key", seconds => 10);
            return $r->{status} == 200 && $r->{body} eq "answer to $key" ? ''
                : sprintf '%.3f GET %s: %s %s', time, $key, $r->{status},
                    $r->{error} // '';
        }
        my $r = FCNG::HTTP::post($port, '/post.php', $key, seconds => 10);
        return $r->{status} == 200 && $r->{body} eq 'done' ? ''
            : "POST $key: $r->{status} " . ($r->{error} // '');
    }, seconds => 40);
    $load->more(60);

    my $restarts = 0;
    for my $how (qw(TERM QUIT USR2 TERM USR2 QUIT)) {
        my $from = time;
        if ($how eq 'USR2') {
            my %old = map { $_ => 1 } children($php->{pid});
            kill USR2 => $php->{pid};
            FCNG::Util::wait_until(10, sub {
                my @now = children($php->{pid});
                return @now == 4 && !grep { $old{$_} } @now;
            }) or fail('the reload took too long');
        }
        else {
            $php->restart($how);
        }
        note sprintf '%s: %.3f s', $how, time - $from;
        $restarts++;
        ok($load->more(60), "$how: requests are served again");
    }
    my ($count, @faults) = $load->stop;
    cmp_ok($count, '>', 400, "$count requests");
    my @get = grep { !/^POST/ } @faults;
    is(join("\n", @get), '', "$restarts restarts: no GET has failed")
        or diag($host->log =~ s/^(?!.*FCNG).*\n//mgr);

    # A POST may be lost when it was cut off; it is never done twice.
    my %failed = map { /^POST (\S+): (\d+)/ ? ($1 => $2) : () } @faults;
    is(join(' ', grep { $_ != 502 } values %failed), '',
        'a POST that was cut off is answered with 502');
    cmp_ok(scalar keys %failed, '<=', CLIENTS / 3 * $restarts,
        'and only such a POST: ' . keys %failed);
    my %times;
    $times{$_}++ for split /\n/, slurp($done);
    is(join(' ', grep { $times{$_} > 1 } sort keys %times), '',
        'no POST was done twice');
    cmp_ok(scalar keys %times, '>', 50, keys(%times) . ' were done');
    # Those that failed are the only ones that may be missing.
    my @clients = grep { $_ % 3 == 0 } 1 .. CLIENTS;
    for my $n (@clients) {
        my @seen = sort { $a <=> $b } map { /^$n\.(\d+)$/ ? $1 : () }
            keys %times;
        my @lost = grep { !$times{"$n.$_"} && !$failed{"$n.$_"} }
            0 .. $seen[-1];
        is("@lost", '', "client $n: what was answered was done");
    }
});

sub children {
    my ($pid) = @_;
    my $parent = FCNG::Host::parents();
    return grep { $parent->{$_} == $pid } keys %$parent;
}
