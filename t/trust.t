# SPDX-License-Identifier: BSD-2-Clause
#
# What a client must not be able to do: set what the application trusts, run
# what is no script, smuggle line ends.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub { $_[0]->text('served') });
    $host->location('/app/', app => $app, params => [
        HTTP_X_TRUST => 'server', REMOTE_ROLE => 'none' ]);
    $host->files('.php', app => $app);
    $host->file('index.php', '<?php');
    $host->file('upload.jpg', '<?php evil();');
    $host->file("\xc8\xba\xc8\xbashell.php.txt.php", '<?php');
    $host->file("fake.\xe2\x93\x9f\xe2\x93\x97\xe2\x93\x9f", 'look-alike');
    $host->start;

    my $ask = sub {
        my ($path, @headers) = @_;
        $app->forget;
        my $r = $host->get($path, headers => \@headers, seconds => 5);
        my ($seen) = $app->events('request');
        return ($r, $seen ? $seen->{env} : undef, $seen);
    };

    # Headers.
    my ($r, $env, $seen) = $ask->('/app/x', Proxy => 'http://evil/',
        'X-A' => 'good', 'X_A' => 'evil', 'X-Trust' => 'client',
        'Remote-User' => 'root', 'Script-Filename' => '/etc/passwd',
        'Content_Length' => '99', Te => 'trailers', 'Keep-Alive' => '9',
        Upgrade => 'x', 'Trailer' => 'X-T');
    is($r->{status}, 200, 'the request is served');
    ok(!exists $env->{HTTP_PROXY}, 'no HTTP_PROXY');
    is($env->{HTTP_X_A}, 'good', 'X-A, not X_A');
    is($env->{HTTP_X_TRUST}, 'server', 'a parameter wins over a header');
    ok(!exists $env->{REMOTE_USER}, 'no REMOTE_USER from a header');
    isnt($env->{CONTENT_LENGTH} // '', '99', 'nor a CONTENT_LENGTH');
    ok(!exists $env->{HTTP_CONTENT_LENGTH}, 'nor HTTP_CONTENT_LENGTH');
    ok(!exists $env->{"HTTP_$_"}, "$_ is not the application's affair")
        for qw(TE KEEP_ALIVE UPGRADE TRAILER CONNECTION TRANSFER_ENCODING);
    my %times;
    my @list = @{ $seen->{list} };
    while (my ($name) = splice @list, 0, 2) { $times{$name}++ }
    is_deeply([grep { $times{$_} > 1 } sort keys %times], [],
        'nothing is sent twice');
    (undef, $env) = $ask->('/app/x', 'X_A' => 'evil', 'X-A' => 'good');
    is($env->{HTTP_X_A}, 'good', 'in the other order too');
    (undef, $env) = $ask->('/app/x', 'PROXY' => 'evil', 'proxy' => 'evil');
    ok(!exists $env->{HTTP_PROXY}, 'no HTTP_PROXY in any case');

    # Bytes that end lines or strings.
    for my $bad ("a\0b", "a\rb", "a\r\n b") {
        my $client = $host->client;
        $client->send("GET /app/x HTTP/1.1\r\nHost: localhost\r\n"
            . "Connection: close\r\nX-Bad: $bad\r\nX-Next: 1\r\n\r\n");
        $app->forget;
        $r = $client->response(seconds => 5);
        my ($event) = $app->events('request');
        my $value = $event ? $event->{env}{HTTP_X_BAD} // '' : '';
        unlike($value, qr/[\0\r\n]/, 'no control byte gets through');
        $client->close;
    }
    for my $path ('/app/a%00b', '/app/a%0ab', '/app/a%0db',
            '/index.php/%0aevil', '/index.php/a%0d%0ab', '/index.php%00.jpg',
            '/index.php%0a/x.php', '/%0aindex.php/x') {
        ($r, $env) = $ask->($path);
        like($r->{status}, qr/^40[034]$/, "$path is refused");
        is($env, undef, "$path: the application is not asked");
    }
    ($r, $env) = $ask->('/app/x?a=%0d%0aSet-Cookie:%20evil');
    is($env->{QUERY_STRING}, 'a=%0d%0aSet-Cookie:%20evil',
        'a query stays encoded');

    # Scripts.
    ($r, $env) = $ask->('/index.php/info');
    is($env->{SCRIPT_FILENAME}, $host->docroot . '/index.php',
        'SCRIPT_FILENAME');
    is($env->{SCRIPT_NAME}, '/index.php', 'SCRIPT_NAME');
    is($env->{PATH_INFO}, '/info', 'PATH_INFO');
    for my $path ('/upload.jpg/x.php', '/upload.jpg%20/x.php',
            '/upload.jpg/index.php', '/nosuch.php', '/nosuch.php/info',
            '/upload.jpg/.php', '/..%2findex.php/../x.php') {
        ($r, $env) = $ask->($path);
        like($r->{status}, qr/^40[034]$/, "$path is no script");
        is($env, undef, "$path: the application is not asked");
    }
    ($r, $env) = $ask->(
        '/fake.%E2%93%9F%E2%93%97%E2%93%9F');
    is($env, undef, 'a look-alike of .php is no script');
    ($r, $env) = $ask->('/fake.%E2%93%9F%E2%93%97%E2%93%9F/x.php');
    is($env, undef, 'nor with a path');
    ($r, $env) = $ask->('/%C8%BA%C8%BAshell.php.txt.php/i');
    if (defined $env) {
        is($env->{SCRIPT_FILENAME}, $host->docroot
            . "/\xc8\xba\xc8\xbashell.php.txt.php",
            'letters that change length with their case do not shift it');
    }
    else {
        is($r->{status}, 404, 'or there is no such script');
    }
    ($r, $env) = $ask->('/index%EF%BC%8Ephp');
    is($env, undef, 'a fullwidth dot is no dot');
});
