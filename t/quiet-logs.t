# SPDX-License-Identifier: BSD-2-Clause
#
# What passes through belongs to users: parameters, fields, bodies and
# responses stand in no line of ours, at the most talkative level, not even
# when something fails.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use Test::More;

FCNG::Hosts->each(log_level => 'debug', sub {
    my ($host) = @_;
    $host->{log_level} = 'trace8' if $host->is_apache;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        my $do = $r->action;
        my $head = "Content-Type: text/plain\r\nX-Out: SECRET-field-out\r\n";
        return $r->answer("$head\r\nSECRET-response") if $do eq 'ok';
        return $r->answer("${head}bad SECRET-line\r\n\r\n") if $do eq 'head';
        if ($do eq 'cut') {
            $r->out("$head\r\nSECRET-response");
            return $r->die_now;
        }
        return $r->send("SECRET-garbage" x 5), $r->die_now
            if $do eq 'garbage';
        return $r->die_now;
    });
    $host->location('/app/', app => $app, params =>
        [P_CONSTANT => 'SECRET-constant']);
    $host->main(nginx => 'large_client_header_buffers 4 128k;',
        apache => 'LimitRequestFieldSize 131072')->start;
    for my $do (qw(ok head cut garbage dies)) {
        for my $method (qw(GET POST)) {
            my $r = $host->request($method, "/app/$do", seconds => 5,
                headers => ['X-In' => 'SECRET-field-in'],
                $method eq 'POST' ? (body => 'SECRET-body' x 100) : ());
            ok($r->{status}, "$method $do: answered");
        }
    }
    is($host->get('/app/ok', headers => ['X-Large' => 'SECRET-large' x 6000])
        ->{status}, 500, 'a parameter too large');
    ok($host->wait_log(qr/FCNG013/), 'is told');
    ok($host->wait_log(qr/FCNG00[458]/), 'and so is the rest');
    my @ours = grep { /SECRET/ && /FCNG\d|fastcgi_ng/ } split /\n/,
        $host->log;
    # httpd tells each field of a request at trace4, nginx in its debug log.
    is_deeply(\@ours, [], 'nothing of it stands in a line of ours');
});
