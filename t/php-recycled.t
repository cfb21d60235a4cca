# SPDX-License-Identifier: BSD-2-Clause
#
# php-fpm ends its processes after so many requests (pm.max_requests), and
# with them the connections that were kept: no request fails of it, neither
# one after the other nor with more clients than processes.
use strict;
use warnings;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Programs;
use Test::More;

my $missing = FCNG::Programs->missing('php_fpm');
plan skip_all => $missing if $missing;

FCNG::Hosts->each(log_level => 'info', sub {
    my ($host) = @_;
    $host->file('pid.php', '<?php echo getmypid(), " ", '
        . 'file_get_contents("php://input");');
    for my $listen (qw(unix tcp)) {
        my $php = FCNG::Programs->php_fpm(children => 2, listen => $listen,
            ini => 'pm.max_requests = 5');
        $host->location("/$listen", app => $php,
            script => $host->docroot . '/pid.php');
    }
    $host->start;
    my $port = $host->port;
    for my $listen (qw(unix tcp)) {
        my (%pid, @wrong);
        my $client = $host->client;
        for my $n (1 .. 60) {
            my $r = $n % 2 ? $client->request_on('GET', "/$listen/$n")
                : $client->request_on('POST', "/$listen/$n", body => "b$n");
            my ($pid, $body) = split / /, $r->{body}, 2;
            push @wrong, "$n: $r->{status}"
                if $r->{status} != 200 || $body ne ($n % 2 ? '' : "b$n");
            $pid{$pid // ''}++;
        }
        is(join(' ', @wrong), '', "$listen: sixty, one after the other");
        cmp_ok(scalar keys %pid, '>=', 12, 'served by a dozen processes');
        $client->close;

        my $load = FCNG::Load->start(6, sub {
            my ($n, $count) = @_;
            my $r = FCNG::HTTP::get($port, "/$listen/$n.$count");
            return $r->{status} == 200 && $r->{body} =~ /^\d+ $/ ? ''
                : "GET $n.$count: $r->{status} " . ($r->{error} // '');
        });
        $load->more(300);
        my ($count, @faults) = $load->stop;
        is(join("\n", @faults), '', "$listen: $count, three clients a process")
            or diag($host->log =~ s/^(?!.*FCNG).*\n//mgr);
    }
});
