# SPDX-License-Identifier: BSD-2-Clause
#
# A request target may name its host: "GET http://other/x HTTP/1.1".  Then the
# Host field does not count, and HTTP_HOST is what the target says (RFC 9112
# section 3.2.2), also where there is no field.  SERVER_NAME is the server's
# own rule.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->text(join ' ', map { $r->env($_) // '-' }
            qw(HTTP_HOST SERVER_NAME SERVER_PORT REQUEST_URI PATH_INFO));
    });
    $host->location('/app/', app => $app);
    $host->files('.app', app => $app);
    $host->file('inside.app', 'x');
    # What stands in the configuration is sent as it is.
    $host->location('/own/', app => $app, params => [HTTP_HOST => 'own']);
    $host->start;
    my $port = $host->port;

    my $says = sub {
        my ($target, $more, $http) = @_;
        my $client = $host->client;
        $client->send("GET $target HTTP/" . ($http // '1.1') . "\r\n$more"
            . "Connection: close\r\n\r\n");
        my $r = $client->response(seconds => 5);
        $client->close;
        return $r->{status} == 200 ? split / /, $r->{body} : $r->{status};
    };
    my ($name, $server, $its_port, $uri, $path) = $says->('/app/x?a=b',
        "Host: this:$port\r\n");
    is($name, "this:$port", 'the Host field');
    is($uri, '/app/x?a=b', 'REQUEST_URI');

    # The host's own rule: the target's host without a configured name.
    my $own = sub { $host->is_nginx ? 'localhost' : $_[0] };
    for (['http://other/app/x', 'other'],
            ['http://Other.Example/app/x', 'Other.Example'],
            ['http://other:8080/app/x', 'other:8080'],
            ['http://[::1]:81/app/x', '[::1]:81'],
            ['http://127.0.0.1/app/x?a=b', '127.0.0.1'],
            ["http://other:$port/inside.app", "other:$port"]) {
        my ($target, $want) = @$_;
        ($name, $server, $its_port, $uri, $path) = $says->($target,
            "Host: this\r\n");
        # httpd writes it in lower case.
        is(lc $name, lc $want, "$target: HTTP_HOST");
        (my $bare = lc $want) =~ s/:\d+$//;
        is(lc $server, $own->($bare), "$target: SERVER_NAME");
        my ($named) = $want =~ /:(\d+)$/;
        is($its_port, $host->is_nginx ? $port : $named // 80,
            "$target: SERVER_PORT");
        is($path, '/x', "$target: PATH_INFO") if $target =~ /x$/;
    }
    is(($says->('http://other:81/app/x', "Host: a\r\nX-A: b\r\n"))[0],
        'other:81', 'among other fields');
    is(($says->('http://other:81/app/x', "hOST: a\r\n"))[0], 'other:81',
        'the name of the field in any case');
    is(($says->('http://other:81/app/x', '', '1.0'))[0], 'other:81',
        'no field at all');
    is(($says->('http://other:81/own/x', "Host: a\r\n"))[0], 'own',
        'a configured HTTP_HOST');
    is(($says->('/app/x', '', '1.0'))[0], '-', 'nobody names a host');
});
