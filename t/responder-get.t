# SPDX-License-Identifier: BSD-2-Clause
#
# A GET request: its parameters byte-exact, its response as sent.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->text('Hello.', 'X-Test' => 'yes');
    });
    $host->location('/app/', app => $app)->start;

    my $r = $host->get('/app/hello/world?a=1&b=%20',
        headers => ['X-Thing' => 'a thing']);
    is($r->{status}, 200, 'status');
    is($r->{body}, 'Hello.', 'body');
    is($r->header('X-Test'), 'yes', 'a field of the application');
    is($r->header('Content-Type'), 'text/plain', 'content type');
    ok($r->{complete}, 'the response is complete');

    my $seen = $app->wait_event('request');
    is($seen->{role}, 1, 'role: responder');
    ok($seen->{aligned}, 'each PARAMS record holds whole pairs');
    my %env = %{ $seen->{env} };
    is($env{REQUEST_METHOD}, 'GET', 'REQUEST_METHOD');
    is($env{SCRIPT_NAME}, '/app', 'SCRIPT_NAME');
    is($env{PATH_INFO}, '/hello/world', 'PATH_INFO');
    is($env{QUERY_STRING}, 'a=1&b=%20', 'QUERY_STRING');
    is($env{REQUEST_URI}, '/app/hello/world?a=1&b=%20', 'REQUEST_URI');
    is($env{SERVER_PROTOCOL}, 'HTTP/1.1', 'SERVER_PROTOCOL');
    is($env{GATEWAY_INTERFACE}, 'CGI/1.1', 'GATEWAY_INTERFACE');
    is($env{SERVER_PORT}, $host->port, 'SERVER_PORT');
    is($env{SERVER_NAME}, 'localhost', 'SERVER_NAME');
    is($env{SERVER_ADDR}, '127.0.0.1', 'SERVER_ADDR');
    is($env{REMOTE_ADDR}, '127.0.0.1', 'REMOTE_ADDR');
    like($env{REMOTE_PORT}, qr/^\d+$/, 'REMOTE_PORT');
    like($env{SERVER_SOFTWARE}, qr/nginx|Apache/, 'SERVER_SOFTWARE');
    is($env{DOCUMENT_ROOT}, $host->docroot, 'DOCUMENT_ROOT');
    is($env{REQUEST_SCHEME}, 'http', 'REQUEST_SCHEME');
    is($env{HTTP_X_THING}, 'a thing', 'a header of the client');
    is($env{HTTP_HOST}, 'localhost:' . $host->port, 'HTTP_HOST');

    my %times;
    my @list = @{ $seen->{list} };
    while (my ($name) = splice @list, 0, 2) { $times{$name}++ }
    is_deeply([grep { $times{$_} > 1 } sort keys %times], [],
        'nothing is sent twice');
});
