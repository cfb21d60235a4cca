# SPDX-License-Identifier: BSD-2-Clause
#
# Reload and graceful restart under load, one client connection a request:
# no request fails, the new configuration counts, the old workers go and
# take their connections with them.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use Test::More;
use Time::HiRes qw(time);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    return pass('one process alone does not reload') if !$host->reloads;
    my $app = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        my $body = $r->body;
        return $r->text($r->env('GENERATION') // '')
            if $r->action eq 'which';
        # Some are under way when the server is told to reload.
        select undef, undef, undef, 0.03 if $r->action eq 'slow';
        $r->text(sha256_hex($body));
    });
    my $write = sub {
        my ($generation) = @_;
        $host->{server_text} = '';
        $host->location('/app/', app => $app,
            params => [GENERATION => $generation]);
    };
    $write->(1);
    $host->start;
    is($host->get('/app/which')->{body}, 1, 'first generation');

    my $port = $host->port;
    my $begun = time;
    my @reloads;
    my $load = FCNG::Load->start(6, sub {
        my ($n, $count) = @_;
        my $body = "$n $count " x (1 + $count % 2000);
        my $slow = $count % 3 ? 'fast' : 'slow';
        my $from = time;
        my $r = $n % 2 ? FCNG::HTTP::post($port, "/app/$slow", $body)
            : FCNG::HTTP::get($port, "/app/$slow");
        $body = '' if $n % 2 == 0;
        return '' if $r->{status} == 200 && $r->{body} eq sha256_hex($body);
        return sprintf 'client %d, %s, %d bytes, %.3f to %.3f s: status %d,'
            . ' %s', $n, $slow, length $body, $from - $begun, time - $begun,
            $r->{status}, $r->{error} // "body $r->{body}";
    }, seconds => 300);
    ok($load->more(100, 60), 'requests before the first reload');
    for my $generation (2 .. 4) {
        $write->($generation);
        push @reloads, sprintf '%.3f', time - $begun;
        ok($host->reload, "reload $generation");
        is($host->get('/app/which')->{body}, $generation,
            'the new configuration counts');
        ok($load->more(100, 60), 'and requests go on');
    }
    my ($count, @faults) = $load->stop;
    cmp_ok($count, '>=', 400, "$count requests");
    is(join("\n", @faults), '', 'none of them failed')
        or diag("reloads at @reloads s\n", $host->log);
});
