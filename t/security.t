# SPDX-License-Identifier: BSD-2-Clause
#
# What a client sends to harm the application, or to pass for somebody else:
# header fields that become other variables, control characters, paths that
# name another script than the one that is there.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

my ($host, $app);

# The parameters of the next request, as a hash.
sub env_of {
    my ($path, @headers) = @_;
    $app->forget;
    my $r = $host->get($path, headers => \@headers);
    my $seen = $app->wait_event('request', seconds => 2);
    return $seen ? $seen->{env} : {};
}

# A request as bytes; the response.
sub raw {
    my ($bytes) = @_;
    $app->forget;
    my $client = $host->client;
    $client->send($bytes);
    return $client->response(seconds => 10);
}

sub not_reached {
    my ($what) = @_;
    my @seen = $app->events('request');
    is(scalar @seen, 0, "$what: the application is not asked")
        or diag(explain($seen[0]{env}));
}

sub fields {
    my $env = env_of('/app/x', 'Proxy' => 'evil:1', 'PROXY' => 'evil:2');
    ok(!exists $env->{HTTP_PROXY}, 'Proxy does not become HTTP_PROXY');

    # Both orders: the field with the dash is the one that counts.
    for my $pair (['X_A', 'X-A'], ['X-A', 'X_A']) {
        my %value = ('X-A' => 'good', 'X_A' => 'evil');
        $env = env_of('/app/x', map { $_ => $value{$_} } @$pair);
        is($env->{HTTP_X_A}, 'good', "@$pair: the underscore gives way");
    }
    $env = env_of('/app/x', 'X_A' => 'evil', 'X.B' => 'evil');
    ok(!exists $env->{HTTP_X_A}, 'X_A alone is no HTTP_X_A');
    ok(!exists $env->{HTTP_X_B} && !exists $env->{'HTTP_X.B'},
        'X.B is no HTTP_X_B');

    $env = env_of('/app/x', 'Content_Length' => 7, 'Content_Type' => 'x/y',
        'Transfer_Encoding' => 'chunked');
    ok(!exists $env->{HTTP_CONTENT_LENGTH}
        && !exists $env->{HTTP_CONTENT_TYPE}
        && !exists $env->{HTTP_TRANSFER_ENCODING}
        && !length($env->{CONTENT_LENGTH} // '')
        && !length($env->{CONTENT_TYPE} // ''),
        'the body is not described a second time');
}

# What the configuration or the server says is not for the client to say.
sub trusted {
    my $env = env_of('/app/x', map { $_ => 'evil' } qw(Remote-User
        Script-Filename Document-Root Php-Value Php-Admin-Value Auth-Type
        Https Path-Info Remote-Addr));
    for my $name (qw(REMOTE_USER SCRIPT_FILENAME DOCUMENT_ROOT PHP_VALUE
            PHP_ADMIN_VALUE AUTH_TYPE HTTPS PATH_INFO REMOTE_ADDR)) {
        isnt($env->{$name}, 'evil', "$name is not the client's");
    }
    is($env->{HTTP_REMOTE_USER}, 'evil', 'it has a name of its own');

    $env = env_of('/set/x', 'X-User' => 'evil', 'X-Gone' => 'evil',
        'X-Other' => 'kept', 'X_User' => 'evil');
    is($env->{HTTP_X_USER}, 'alice', 'a parameter replaces a header');
    is($env->{HTTP_X_OTHER}, 'kept', 'and no other');
    is($env->{REMOTE_USER}, 'alice', 'a parameter replaces a default');
    ok(!exists $env->{HTTP_X_GONE}, 'a removed parameter stays away');
    my ($seen) = $app->events('request');
    my @list = @{ $seen->{list} };
    my $times = grep { !($_ % 2) && $list[$_] eq 'HTTP_X_USER' } 0 .. $#list;
    is($times, 1, 'and is sent once');
}

sub control_characters {
    for my $case (
            ['NUL in a value', "X-A: a\0b"],
            ['CR in a value', "X-A: a\rb: c"],
            ['NUL in a name', "X\0A: b"],
            ['a blank in a name', "X A: b"],
            ['a folded line', "X-A: a\r\n b"]) {
        my ($what, $field) = @$case;
        my $r = raw("GET /app/x HTTP/1.1\r\nHost: localhost\r\n$field\r\n"
            . "Connection: close\r\n\r\n");
        my ($seen) = $app->events('request');
        my @bad = grep { $seen->{env}{$_} =~ /[\0\r\n]/ }
            keys %{ $seen ? $seen->{env} : {} };
        ok(!@bad && ($r->{status} == 400 || $seen), "$what: refused or clean")
            or diag("$r->{status} @bad");
    }

    for my $path ('/app/a%00b', '/app/a%0ab', '/app/a%0db', '/index.php%00',
            '/index.php%0a', '/index.php/PATH%0aINFO', '/index.php%0a.php',
            '/index.php/x%0d%0a.php', '/%0a/index.php') {
        $app->forget;
        my $r = $host->get($path);
        like($r->{status}, qr/^40[04]$/, "$path: refused");
        not_reached($path);
    }
    my $env = env_of('/app/x?a=%00%0a');
    is($env->{QUERY_STRING}, 'a=%00%0a', 'a query stays as it came');
}

sub scripts {
    my $root = $host->docroot;
    my $env = env_of('/index.php');
    is($env->{SCRIPT_FILENAME}, "$root/index.php", 'a script');
    is($env->{SCRIPT_NAME}, '/index.php', 'its name');
    $env = env_of('/index.php/a/b');
    is($env->{SCRIPT_FILENAME}, "$root/index.php", 'with a path behind it');
    is($env->{SCRIPT_NAME}, '/index.php', 'the name stays');
    is($env->{PATH_INFO}, '/a/b', 'and the path is PATH_INFO');

    for my $path ('/upload.jpg/x.php', '/none.php', '/none.php/index.php',
            '/dir.php', '/index.php%2f..%2fnone.php') {
        $app->forget;
        my $r = $host->get($path);
        ok($r->{status} == 404 || $r->{status} == 400
            || $path eq '/dir.php' && $r->{status} == 301, "$path: refused")
            or diag($r->{status});
        not_reached($path);
    }

    # Bytes that only look like ".php", or become it when cases are folded.
    my $a = "\xc8\xba" x 4;
    my %look_alike = (
        'a circled extension' => "/shell.\xe2\x93\x9f\xe2\x93\x97\xe2\x93\x9f",
        'a wide extension' => "/shell.\xef\xbd\x90\xef\xbd\x88\xef\xbd\x90",
        'a wide dot' => "/shell\xef\xbc\x8ephp",
        'letters that grow' => "/${a}shell.php.txt.php",
        'a script that is none' => "/${a}shell.php.txt/x.php",
    );
    for my $what (sort keys %look_alike) {
        my $path = $look_alike{$what};
        $path =~ s/([^\x21-\x7e])/sprintf '%%%02x', ord $1/ge;
        $app->forget;
        my $r = $host->get($path);
        like($r->{status}, qr/^[24]0[04]$/, "$what: no script");
        not_reached($what);
    }
    $env = env_of("/$a.php/x.php/y" =~ s/([^\x21-\x7e])/sprintf '%%%02x',
        ord $1/ger);
    is($env->{SCRIPT_FILENAME}, "$root/$a.php", 'a name of such bytes');
    is($env->{PATH_INFO}, '/x.php/y', 'is split where the script ends');

    $env = env_of('/far/upload.jpg/x.php');
    like($env->{SCRIPT_FILENAME} // '', qr{/upload\.jpg},
        'check_script off: the application is asked');
}

FCNG::Hosts->each(sub {
    ($host) = @_;
    $app = FCNG::App->new(request => sub { $_[0]->text('ok') });
    $host->location('/app/', app => $app);
    $host->location('/set/', app => $app,
        params => [HTTP_X_USER => 'alice', REMOTE_USER => 'alice'],
        nginx => "fastcgi_ng_param HTTP_X_GONE \"\" if_not_empty;\n",
        apache => "FastCgiNgParam !HTTP_X_GONE\n");
    $host->files('.php', app => $app);
    $host->server(nginx => <<"NGINX", apache => <<'APACHE');
location ^~ /far/ {
    fastcgi_ng_pass @{[$app->address]};
    fastcgi_ng_check_script off;
}
NGINX
<Location "/far">
    SetHandler fastcgi-ng:pool1
    FastCgiNgCheckScript off
</Location>
APACHE
    $host->file('index.php', '<?php');
    $host->file('upload.jpg', '<?php');
    $host->file('far/upload.jpg', '<?php');
    $host->file('dir.php/index.txt', '');
    $host->file("\xc8\xba\xc8\xba\xc8\xba\xc8\xba.php", '<?php');
    $host->file("\xc8\xba\xc8\xba\xc8\xba\xc8\xbashell.php.txt", 'x');
    $host->file("shell.\xe2\x93\x9f\xe2\x93\x97\xe2\x93\x9f", 'x');
    $host->file("shell.\xef\xbd\x90\xef\xbd\x88\xef\xbd\x90", 'x');
    $host->file("shell\xef\xbc\x8ephp", 'x');
    # Names with control characters trouble httpd's own look-up as well.
    $host->expect(qr/AH0010[0-9]|AH00127|AH00082/);
    $host->start;
    subtest 'header fields' => \&fields;
    subtest 'trusted parameters' => \&trusted;
    subtest 'control characters' => \&control_characters;
    subtest 'scripts' => \&scripts;
});
