# SPDX-License-Identifier: BSD-2-Clause
#
# Authorizers as nginx's upstreams: several servers, time-outs, clients that
# leave, limits; and what nginx's filters make of a denial.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP qw(curl);
use FCNG::Hosts;
use FCNG::Util qw(free_port wait_until find_tool);
use FCNG::Wire;
use IO::Uncompress::Gunzip qw(gunzip);
use Test::More;
use Time::HiRes qw(time);

my $html = '<p>' . 'denied <!--#echo var="uri" --> ' x 100;

sub decide {
    my ($r) = @_;
    my $do = $r->env('HTTP_DO') // '';
    my $id = $r->{id};
    if ($do eq 'part') {
        $r->out("Status: 200\r\n");
        return $r->die_now;
    }
    return $r->end(0, 2) if $do eq 'overloaded';
    return $r->die_now if $do eq 'dies';
    if ($do eq 'noend') {
        $r->send(FCNG::Wire::record(FCNG::Wire::T_STDOUT, $id,
            "Status: 200\r\n\r\n")
            . FCNG::Wire::record(FCNG::Wire::T_STDOUT, $id, ''));
        $r->conn->wait_closed(10);
        return $r->die_now;
    }
    if ($do =~ /^trickle(\d+)/) {
        $r->out("Status: 403\r\n\r\n");
        for (1 .. 5) {
            select undef, undef, undef, $1 / 1000;
            $r->out("piece$_ ") or return $r->die_now;
        }
        return $r->end;
    }
    if ($do eq 'hang') {
        $r->note('gone', how => $r->conn->wait_closed(10));
        return $r->die_now;
    }
    if ($do eq 'huge') {
        $r->out("Status: 403\r\n\r\n");
        for (1 .. 70) {
            $r->out('x' x 1_048_576) or last;
        }
        return $r->die_now;
    }
    return $r->answer("Status: 403\r\nContent-Type: text/html\r\n\r\n$html")
        if $do eq 'html';
    if ($do eq 'gzipped') {
        IO::Compress::Gzip::gzip(\$html => \my $bytes);
        return $r->answer("Status: 403\r\nContent-Type: text/html\r\n"
            . "Content-Encoding: gzip\r\n\r\n$bytes");
    }
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n\r\n");
}
require IO::Compress::Gzip;

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $well = FCNG::App->new(request => sub {
        my ($r) = @_;
        local $r->{env}{HTTP_DO} = $r->env('HTTP_SECOND') // '';
        decide($r);
    });
    my $full = FCNG::App->new(request => \&decide);
    push @{ $host->{apps} }, $auth, $well, $full;
    my $down = '127.0.0.1:' . free_port();
    $host->file("$_/file.html", 'the file') for qw(site two down slow total
        full text limit);
    $host->main(nginx => <<"CONF");
upstream two { server @{[$auth->address]} max_fails=0; server @{[$well->address]} backup max_fails=0; }
upstream down { server $down; server @{[$well->address]}; }
upstream full { server @{[$full->address]}; fastcgi_ng_pool max_connections=1 max_queue=0; }
CONF
    $host->server(nginx => <<"CONF");
fastcgi_ng_authorizer_read_timeout 1s;
location /site/ { fastcgi_ng_authorizer @{[$auth->address]}; }
location /two/ { fastcgi_ng_authorizer two; fastcgi_ng_authorizer_read_timeout 2s; }
location /down/ { fastcgi_ng_authorizer down; }
location /full/ { fastcgi_ng_authorizer full; fastcgi_ng_authorizer_read_timeout 10s; }
location /total/ {
    fastcgi_ng_authorizer @{[$auth->address]};
    fastcgi_ng_authorizer_read_timeout 10s;
    fastcgi_ng_request_timeout 600ms;
}
location /text/ {
    fastcgi_ng_authorizer @{[$auth->address]};
    ssi on; gzip on; gzip_min_length 1; charset utf-8; add_header X-Added yes always;
    add_trailer X-Trailer yes always;
    expires 1h;
}
location /limit/ {
    fastcgi_ng_authorizer @{[$auth->address]};
    fastcgi_ng_authorizer_buffer_size 1k;
}
location /connect/ {
    fastcgi_ng_authorizer 192.0.2.1:9;
    fastcgi_ng_authorizer_connect_timeout 300ms;
}
CONF
    $host->expect(qr/FCNG0|upstream timed out|upstream prematurely|no live/);
    $host->start;
    my $get = sub {
        my ($path, $do, @headers) = @_;
        $_->forget for $auth, $well;
        my $start = time;
        my $r = $host->get($path, headers => [Do => $do, @headers],
            seconds => 20);
        $r->{took} = time - $start;
        $r->{asked} = join ' ', scalar(my @a = $auth->events('request')),
            scalar(my @w = $well->events('request'));
        return $r;
    };
    my $is = sub {
        my ($path, $do, $status, $asked, $what, @headers) = @_;
        my $r = $get->($path, $do, @headers);
        is("$r->{status}, asked $r->{asked}", "$status, asked $asked", $what)
            or diag($host->new_log);
        unlike($r->{body}, qr/the file/, "$what: nothing of the file")
            if $status != 200;
        return $r;
    };

    # ---- several servers
    $is->('/down/file.html', '', 200, '0 1', 'the first one is down')
        for 1 .. 3;
    $is->('/two/file.html', '', 200, '1 0', 'the first one answers');
    $is->('/two/file.html', 'dies', 200, '1 1',
        'closed before a byte: the second one is asked');
    $is->('/two/file.html', 'overloaded', 200, '1 1', 'overloaded: so too');
    $is->('/two/file.html', 'hang', 200, '1 1', 'no byte in time: so too');
    $is->('/two/file.html', 'part', 502, '1 0', 'half an answer: denied');
    $is->('/two/file.html', 'noend', 502, '1 0', 'no END_REQUEST: denied');
    $is->('/two/file.html', 'overloaded', 502, '1 1',
        'END_REQUEST of one is not the other\'s', Second => 'noend');
    my $r = $is->('/two/file.html', 'overloaded', 503, '1 1', 'both '
        . 'overloaded', Second => 'overloaded');
    is($r->header('Retry-After'), 1, 'with Retry-After');
    $is->('/two/file.html', 'trickle0', 403, '1 0', 'a denial is an answer');

    # ---- time
    $is->('/site/file.html', 'hang', 504, '1 0', 'no answer');
    $r = $is->('/site/file.html', 'trickle400', 403, '1 0',
        'a denial that takes longer than a pause may');
    is($r->{body}, 'piece1 piece2 piece3 piece4 piece5 ', 'is whole');
    $is->('/site/file.html', 'trickle1500', 504, '1 0',
        'one with too long a pause');
    $r = $is->('/total/file.html', 'hang', 504, '1 0',
        'fastcgi_ng_request_timeout');
    cmp_ok($r->{took}, '<', 3, 'in its time');
    like($host->log, qr/FCNG003/, 'and told');
    $r = $is->('/total/file.html', 'trickle300', 504, '1 0',
        'in the middle of a denial');
    $r = $get->('/connect/x', '');
    like($r->{status}, qr/^50[24]$/, 'connect_timeout');
    cmp_ok($r->{took}, '<', 5, 'in its time');

    # ---- the client leaves
    $auth->forget;
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/total/file.html', headers =>
        [Do => 'hang']));
    ok($auth->wait_event('request'), 'asked');
    $client->close;
    ok(my $gone = $auth->wait_event('gone', seconds => 3),
        'the application is told that the client has left');

    # ---- limits
    $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/full/file.html', headers =>
        [Do => 'hang']));
    ok($full->wait_event('request'), 'the only connection is in use');
    $r = $get->('/full/file.html', '');
    is("$r->{status} " . ($r->header('Retry-After') // ''), '503 1',
        'queue full: denied');
    $client->close;
    ok($full->wait_event('gone'), 'until that client leaves');
    is($get->('/full/file.html', '')->{status}, 200, 'then granted');
    $is->('/site/file.html', 'huge', 502, '1 0', 'a denial over 64m');
    like($host->log, qr/FCNG009: the authorizer .* more than 64m/, 'is told');
    $r = $is->('/limit/file.html', 'html', 403, '1 0', 'a temporary file');
    is($r->{body}, $html, 'is what it should be');

    # ---- filters
    $r = $is->('/text/file.html', 'html', 403, '1 0', 'filters',
        'Accept-Encoding' => 'gzip');
    is($r->header('Content-Encoding'), 'gzip', 'gzip');
    gunzip(\$r->{body} => \my $text);
    is($text, $html =~ s{<!--.*?-->}{/text/file.html}gr, 'once, SSI before');
    is(join(',', $r->header('X-Added')), 'yes', 'add_header');
    is($r->{trailers}, "X-Trailer: yes\r\n", 'add_trailer');
    like($r->header('Content-Type'), qr{^text/html; charset=utf-8$},
        'charset');
    $r = $get->('/text/file.html', 'gzipped', 'Accept-Encoding' => 'gzip');
    is(join(',', $r->header('Content-Encoding')), 'gzip',
        'what is compressed already');
    gunzip(\$r->{body} => \$text);
    is($text, $html, 'is left alone');
});
