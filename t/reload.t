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
    my $load = FCNG::Load->start(6, sub {
        my ($n, $count) = @_;
        my $body = "$n $count " x (1 + $count % 2000);
        my $slow = $count % 3 ? 'fast' : 'slow';
        my $r = $n % 2 ? FCNG::HTTP::post($port, "/app/$slow", $body)
            : FCNG::HTTP::get($port, "/app/$slow");
        $body = '' if $n % 2 == 0;
        return 'status ' . $r->{status} . ' ' . ($r->{error} // '')
            if $r->{status} != 200;
        return $r->{body} eq sha256_hex($body) ? '' : 'wrong body';
    });
    $load->more(100);
    for my $generation (2 .. 4) {
        $write->($generation);
        ok($host->reload, "reload $generation");
        is($host->get('/app/which')->{body}, $generation,
            'the new configuration counts');
        $load->more(100);
    }
    my ($count, @faults) = $load->stop;
    cmp_ok($count, '>=', 400, "$count requests");
    is(join(', ', @faults), '', 'none of them failed');
});
