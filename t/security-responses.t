# SPDX-License-Identifier: BSD-2-Clause
#
# What a hostile or careless application writes must not become a second
# response, a second field or another user's document.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(spew);
use Test::More;

# [what, head, status, pattern that the client's head must not match]
my @heads = (
    ['a CR in a value', "X-A: a\rX-Evil: 1", 502],
    ['a CR that begins a line', "X-A: a\r\r\nX-Evil: 1", 502],
    ['a NUL in a value', "X-A: a\0X-Evil: 1", 502],
    ['a control character in a value', "X-A: a\x0bX-Evil: 1", 502],
    ['a blank before the colon', "X-Evil : 1", 502],
    ['a folded line', "X-A: a\r\n X-Evil: 1", 502],
    ['a line without a colon', "X-Evil", 502],
    ['a name that is none', "X-Evil\x01: 1", 502],
    ['two lengths', "Content-Length: 1\r\nContent-Length: 2", 502],
    ['a length that is none', "Content-Length: 1, 2", 502],
    ['a negative length', "Content-Length: -1", 502],
    ['a status that is none', "Status: 200 OK\rX-Evil: 1", 502],
    ['two statuses', "Status: 200\r\nStatus: 404", 502],
    ['another encoding', "Transfer-Encoding: chunked", 200],
    ['another connection', "Connection: keep-alive, X-Evil", 200],
    ['an upgrade', "Upgrade: evil", 200],
    ['an encoded CR LF', "Location: http://x/%0d%0aX-Evil:1", 302],
);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my ($n) = $r->env('PATH_INFO') =~ /(\d+)/;
        my $head = defined $n ? $heads[$n][1] : 'X-A: ok';
        $r->answer("Content-Type: text/plain\r\n$head\r\n\r\nBODY");
    });
    $host->location('/app/', app => $app)->start;

    for my $n (0 .. $#heads) {
        my ($what, $head, $status) = @{ $heads[$n] };
        my $client = $host->client;
        $client->send("GET /app/$n HTTP/1.1\r\nHost: localhost\r\n\r\n"
            . "GET /app/next HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\n\r\n");
        my $r = $client->response(seconds => 10);
        is($r->{status}, $status, "$what: $status");
        ok(!defined $r->header('X-Evil') && ($r->{raw_head} // '')
            !~ /[^\r]\r[^\n]|\0|^Upgrade: evil/m, "$what: no other field");
        is($r->{body}, 'BODY', "$what: the body as it was")
            if $status == 200;
        ok($r->{complete}, "$what: a whole response");
        # The next request on the same connection gets its own answer.
        next if ($r->header('Connection') // '') =~ /close/i;
        $r = $client->response(seconds => 10);
        is($r->header('X-A'), 'ok', "$what: the next response is the next");
    }
    if ($host->is_apache && $host->reloads) {
        subtest '.htaccess' => sub { htaccess($host) };
    }
});

# Owners of folders may choose among pools, and no pool serves what is not
# its own.
sub htaccess {
    my ($host) = @_;
    my $name = 'alice';
    my $root = $host->docroot;
    my $app = FCNG::App->new(request => sub { $_[0]->text('ran') });
    push @{ $host->{apps} }, $app;
    $host->server(apache => "FastCgiNgPool alice @{[$app->address]}"
        . " for=$root/alice\n");
    $host->file("$_/a.php", '') for qw(alice bob alice2);
    symlink "$root/bob/a.php", "$root/alice/link.php";
    spew("$root/$_/.htaccess", "SetHandler fastcgi-ng:alice\n")
        for qw(alice bob alice2);
    ok($host->reload, 'reloaded') or return;
    my %status = ('/alice/a.php' => 200, '/bob/a.php' => 403,
        '/alice2/a.php' => 403, '/alice/link.php' => 403);
    for my $path (sort keys %status) {
        $app->forget;
        $host->mark_log;
        is($host->get($path)->{status}, $status{$path},
            "$path: $status{$path}");
        my @seen = $app->events('request');
        is(scalar @seen, $status{$path} == 200 ? 1 : 0,
            "$path: asked only if allowed");
        next if $status{$path} == 200;
        ok($host->wait_log(qr/pool "alice" does not serve .*for=/),
            "$path: the log says why");
    }

    for my $param (qw(SCRIPT_FILENAME DOCUMENT_ROOT PHP_VALUE
            PHP_ADMIN_VALUE REMOTE_USER AUTH_TYPE php_admin_value)) {
        spew("$root/alice/.htaccess", "SetHandler fastcgi-ng:alice\n"
            . "FastCgiNgParam $param evil\n");
        $app->forget;
        is($host->get('/alice/a.php')->{status}, 500,
            "$param is not for .htaccess");
        is(scalar(() = $app->events('request')), 0, 'nothing is run');
    }
    $host->expect(qr{\[core:alert\] .*/\.htaccess: FastCgiNgParam: });
}
