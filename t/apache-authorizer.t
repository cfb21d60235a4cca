# SPDX-License-Identifier: BSD-2-Clause
#
# The Authorizer among httpd's own modules: Require, Satisfy Any, SetEnv,
# SSI, autoindex, DirectoryIndex, MultiViews, ErrorDocument, mod_rewrite.
# One response to one request, the variables reach whoever serves it, and
# nobody gets past.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::HTTP qw(curl);
use FCNG::Util qw(random_bytes slurp spew wait_until);
use MIME::Base64 qw(encode_base64);
use Test::More;

my $large = random_bytes(10 * 1024 * 1024, 'denial');

# The query says what is asked for; what is called secret is denied.
sub decide {
    my ($r) = @_;
    my $uri = $r->env('DOCUMENT_URI') // '';
    my ($do) = ($r->env('QUERY_STRING') // '') =~ /do=(\w+)/;
    $do //= $uri =~ /secret/ || $r->env('HTTP_X_DENY') ? 'deny' : 'grant';
    my $user = $r->env('REMOTE_USER') // '-';
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n"
        . "Variable-Asked-For: $uri\r\nVariable-REMOTE_USER: app-$user\r\n"
        . "\r\n") if $do eq 'grant';
    return $r->answer("Status: 200\r\n\r\n") if $do eq 'plain';
    return $r->answer("Status: 403\r\nContent-Type: text/x-app\r\n"
        . "X-By: app\r\nSet-Cookie: a=1\r\n\r\n<!--#echo var=\"TEAM\" -->")
        if $do eq 'deny';
    return $r->answer("Status: 401\r\nWWW-Authenticate: App realm=\"a\"\r\n"
        . "\r\nlog in here") if $do eq 'login';
    return $r->answer("Status: 302\r\nLocation: https://login.example/\r\n"
        . "\r\n") if $do eq 'away';
    return $r->answer("Status: 299\r\nContent-Type: text/plain\r\n\r\n299")
        if $do eq 'odd';
    return $r->answer("Status: 403\r\nContent-Type: text/plain\r\n\r\n$large")
        if $do eq 'large';
    # More than is announced is cut, less is no answer.
    return $r->answer("Status: 403\r\nContent-Length: 5\r\n\r\n12345678")
        if $do eq 'long';
    return $r->answer("Status: 403\r\nContent-Length: 500\r\n\r\nshort")
        if $do eq 'short';
    return $r->answer("Status: 403\r\nX-Twice: app\r\n\r\nno")
        if $do eq 'twice';
    if ($do eq 'slow') {
        $r->wait_gate('slow', 5);
        return $r->answer("Status: 200\r\n\r\n");
    }
    return $r->die_now;
}

sub basic { (Authorization => 'Basic ' . encode_base64("$_[0]:$_[1]", '')) }

my @load = qw(auth_basic authn_core authn_file authz_user access_compat
    autoindex negotiation cgi filter deflate proxy proxy_http);

sub prepare {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        my %env = %{ $r->{env} };
        return $r->text(join '', (map { "$_=" . ($env{$_} // '') . "\n" }
            qw(TEAM Asked-For REMOTE_USER HTTP_X_TEAM HTTP_TEAM)),
            'body=' . length($body) . "\n");
    });
    # joe:secret
    spew($host->dir . '/users', "joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    my $dir = $host->dir;
    $host->main(apache => <<"CONF");
FastCgiNgPool auth @{[$auth->address]}
FastCgiNgPool app @{[$app->address]}
LogFormat "%>s %u %{TEAM}e %U" short
CustomLog $dir/logs/access.log short
AddType text/html .shtml
AddOutputFilter INCLUDES .shtml
AddHandler cgi-script .cgi
<Directory @{[$host->docroot]}>
    Options FollowSymLinks Includes ExecCGI Indexes MultiViews
</Directory>
<LocationMatch "^/(basic|both|any|user|late|latebasic|off)/">
    AuthType Basic
    AuthName x
    AuthUserFile $dir/users
</LocationMatch>
CONF
    push @{ $host->{apps} }, $app;
    $host->expect(qr/FCNG\d+|there is no pool "unknown"|not allowed here/);
    return ($auth, $app);
}

sub page {
    my ($host, $name, $text) = @_;
    my $path = $host->file($name, $text);
    chmod 0755, $path if $name =~ /cgi$/;
}

my $cgi = <<'CGI';
#!/bin/sh
echo Content-Type: text/plain
echo
echo "TEAM=$TEAM $Asked_For REMOTE_USER=$REMOTE_USER"
CGI

# Questions about a path.
sub asked {
    my ($auth, $pattern) = @_;
    return scalar grep { ($_->{env}{DOCUMENT_URI} // '') =~ $pattern }
        $auth->events('request');
}

# ---- subrequests and internal redirects ----

# secret: httpd asks again only where the configuration is another one.
sub trees {
    my ($host) = @_;
    for my $tree (qw(inherit ask)) {
        page($host, "$tree/open.txt", 'open');
        page($host, "$tree/secret.txt", 'SECRET');
        page($host, "$tree/index/secret.html", 'SECRET');
        page($host, "$tree/index2/secret.html", 'SECRET');
        page($host, "$tree/index2/other.html", 'other');
        page($host, "$tree/part.shtml",
            '[<!--#include virtual="open.txt" -->]'
            . '[<!--#include virtual="secret.txt" -->]');
        page($host, "$tree/neg.secret.txt", 'SECRET');
        page($host, "$tree/env.cgi", $cgi);
        page($host, "$tree/dir/env.cgi", $cgi);
        page($host, "$tree/fall/to/open.txt", 'open');
        page($host, "$tree/rewritten/.htaccess", "RewriteEngine On\n"
            . "RewriteRule ^a\$ secret.txt [L]\n"
            . "RewriteRule ^b\$ open.txt [L]\n");
        page($host, "$tree/rewritten/secret.txt", 'SECRET');
        page($host, "$tree/rewritten/open.txt", 'open');
    }
}

sub subrequests {
    my ($host) = @_;
    my ($auth, $app) = prepare($host);
    trees($host);
    $host->server(apache => <<'CONF');
<DirectoryMatch "/htdocs/inherit">
    FastCgiNgAuthorizer auth
</DirectoryMatch>
<LocationMatch "/dir/">
    DirectoryIndex env.cgi
</LocationMatch>
<LocationMatch "/index2?/">
    DirectoryIndex secret.html other.html
</LocationMatch>
<Location "/ask">
    FastCgiNgAuthorizer auth
    FastCgiNgAuthorizerInternal ask
</Location>
<LocationMatch "^/(inherit|ask)/fall/">
    FallbackResource /ask/secret.txt
</LocationMatch>
<LocationMatch "^/(inherit|ask)/fall/to/">
    FallbackResource /ask/open.txt
</LocationMatch>
ErrorDocument 410 /inherit/env.cgi
<Location "/inherit/gone">
    Redirect gone "/inherit/gone"
</Location>
CONF
    $host->start;

    # The main request has been granted, that counts.
    like($host->get('/inherit/part.shtml')->{body}, qr/\[open\]\[SECRET\]/,
        'inherit: SSI');
    is($host->get('/inherit/index/')->{body}, 'SECRET', 'DirectoryIndex');
    like($host->get('/inherit/')->{body}, qr/secret\.txt/, 'autoindex');
    my $r = $host->get('/inherit/gone');
    is($r->{status}, 410, 'ErrorDocument');

    like($host->get('/inherit/dir/')->{body}, qr{TEAM=blue /inherit/dir/ },
        'a variable of the folder');
    is($host->get('/inherit/rewritten/a')->{body}, 'SECRET',
        'a rewrite within a folder');
    is($host->get('/inherit/fall/none')->{status}, 403,
        'FallbackResource leads to where others are asked');
    is($host->get('/inherit/fall/to/none')->{body}, 'open', 'and may grant');

    # Each address is asked for.
    $auth->forget;
    my $client = $host->client;
    for my $tree ('ask') {
        $r = $client->request_on('GET', "/$tree/part.shtml");
        like($r->{body}, qr/\[open\]\[\[an error occurred/, "$tree: SSI");
        unlike($r->{body}, qr/SECRET|TEAM/, 'nothing of it, and no denial');
        $r = $client->request_on('GET', "/$tree/index/");
        is($r->{status}, 403, 'DirectoryIndex');
        unlike($r->{body}, qr/SECRET/, 'not shown');
        $r = $client->request_on('GET', "/$tree/index2/");
        is($r->{body}, 'other', 'the next index');
        $r = $client->request_on('GET', "/$tree/");
        is($r->{status}, 200, 'autoindex');
        unlike($r->{body}, qr/secret\.txt/, 'is not listed');
        like($r->{body}, qr/open\.txt/, 'the others are');
        $r = $client->request_on('GET', "/$tree/dir/");
        like($r->{body}, qr{TEAM=blue /ask/dir/env\.cgi },
            'the variable of the index');
        $r = $client->request_on('GET', "/$tree/rewritten/a");
        is("$r->{status} $r->{body}", '403 <!--#echo var="TEAM" -->',
            'a rewrite');
        is($client->request_on('GET', "/$tree/rewritten/b")->{body}, 'open',
            'and one to what is granted');
        is($client->request_on('GET', "/$tree/fall/none")->{status}, 403,
            'FallbackResource');
        is($client->request_on('GET', "/$tree/fall/to/none")->{body}, 'open',
            'and one that is granted');
        $r = $client->request_on('GET', "/$tree/neg");
        is($r->{status}, 404, 'MultiViews');
        $r = $client->request_on('GET', "/$tree/open.txt");
        is($r->{body}, 'open', 'the connection is in step');
    }
    is(asked($auth, qr{^/ask/open\.txt$}), 4, 'asked for each');
}

# ---- what lies in a cache ----

sub cache {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $app = FCNG::App->new(request => sub {
        $_[0]->text('page', 'Cache-Control' => 'max-age=60');
    });
    my $dir = $host->dir . '/tmp';
    $host->location('/cached/', app => $app, protect => $auth,
        apache => "CacheEnable disk\n");
    $host->main(apache => "CacheQuickHandler off\nCacheRoot $dir\n");
    $host->start;
    my @deny = (headers => ['X-Deny' => 1]);
    is($host->get('/cached/x', @deny)->{status}, 403, 'a denial');
    for my $n (1 .. 3) {
        is($host->get('/cached/x')->{body}, 'page', "granted, $n");
        my $r = $host->get('/cached/x', @deny);
        is("$r->{status} $r->{body}", '403 <!--#echo var="TEAM" -->',
            "denied what lies in a cache, $n");
    }
    is(scalar(my @served = $app->events('request')), 1,
        'the page came from there');
}

# ---- HTTP/2 ----

sub http2 {
    my ($host) = @_;
    my ($auth, $app) = prepare($host);
    $host->server(apache => <<'CONF');
<Location "/app">
    FastCgiNgAuthorizer auth
    FastCgiNgPass app
</Location>
CONF
    $host->start;
    my $url = 'http://127.0.0.1:' . $host->http2_port;
    my @h2 = ('--http2-prior-knowledge', '-w', '%{http_code}');
    my $file = $host->dir . '/tmp/body';
    my $r = curl(@h2, '-o', $file, "$url/app/x?do=large");
    is($r->{out}, '403', 'a denial');
    is(sha256_hex(slurp($file)), sha256_hex($large), '10 MiB');
    $r = curl(@h2, "$url/app/x?do=odd");
    is($r->{out}, '299299', 'an unknown status');
    $r = curl(@h2, '--head', "$url/app/x?do=deny");
    like($r->{out}, qr/^x-by: app.*403\z/msi, 'HEAD');
    $r = curl(@h2, "$url/app/x?do=away");
    is($r->{out}, '302', 'a redirect');
    my $body = spew($host->dir . '/tmp/up', 'u' x 3_000_000);
    $r = curl(@h2, '--data-binary', "\@$body", "$url/app/x");
    like($r->{out}, qr/TEAM=blue.*body=3000000\n200\z/s, 'a grant, a body');
    $r = curl(@h2, "$url/app/x?do=dies");
    like($r->{out}, qr/502\z/, 'a failure');
}

# ---- all else ----

FCNG::Hosts->each(only => 'apache', load => \@load, sub {
    my ($host) = @_;
    my ($auth, $app) = prepare($host);
    page($host, "$_/page.txt", "page of $_") for qw(denied basic both any env
        set spoof away user late latebasic errdoc off in two htaccess
        fileinfo);
    page($host, 'fileinfo/.htaccess', "FastCgiNgAuthorizer auth\n");
    page($host, 'in/out/page.txt', 'unprotected');
    page($host, 'two/one/page.txt', 'page of one');
    page($host, 'deflate/page.txt', 'page of deflate' x 100);
    page($host, 'htaccess/.htaccess', "FastCgiNgAuthorizer auth\n");
    page($host, 'htaccess/off/.htaccess', "FastCgiNgAuthorizer off\n");
    page($host, 'htaccess/off/page.txt', 'page of off');
    page($host, 'htaccess/bad/.htaccess', "FastCgiNgAuthorizer unknown\n");
    page($host, 'htaccess/bad/page.txt', 'page of bad');
    page($host, 'vars/env.cgi', $cgi);
    page($host, 'set/env.cgi', $cgi);
    page($host, 'user/env.cgi', $cgi);
    page($host, 'basic/env.cgi', $cgi);
    page($host, 'vars/echo.shtml', '[<!--#echo var="TEAM" -->]'
        . '[<!--#include virtual="env.cgi" -->]');
    page($host, 'errdoc/sorry.html', 'sorry');
    page($host, 'latebasic/login.html', 'log in');
    page($host, 'free/env.cgi', $cgi);
    page($host, 'moved/.htaccess',
        "RewriteEngine On\nRewriteRule ^x\$ /free/env.cgi [PT]\n");
    $host->server(apache => <<'CONF');
<Location "/denied">
    FastCgiNgAuthorizer auth
    Require all denied
</Location>
<Location "/basic">
    FastCgiNgAuthorizer auth
    Require valid-user
</Location>
<Location "/both">
    FastCgiNgAuthorizer auth
    Require valid-user
    Satisfy Any
</Location>
<Location "/any">
    FastCgiNgAuthorizer auth
    Require all denied
    Satisfy Any
</Location>
<Location "/env">
    FastCgiNgAuthorizer auth
    Require env TEAM
    Require expr reqenv('TEAM') == 'blue'
    AuthMerging Off
</Location>
<Location "/vars">
    FastCgiNgAuthorizer auth
    SetOutputFilter INCLUDES
    RequestHeader set X-Team "%{TEAM}e"
</Location>
<Location "/app">
    FastCgiNgAuthorizer auth
    FastCgiNgPass app
    RequestHeader set X-Team "%{TEAM}e"
    Header always set X-Twice server
</Location>
<Location "/set">
    FastCgiNgAuthorizer auth
    SetEnv TEAM red
</Location>
SetEnvIf X-Evil (.+) TEAM=$1
<Location "/spoof">
    FastCgiNgAuthorizer auth
    FastCgiNgPass app
    FastCgiNgAuthorizerUnset TEAM
</Location>
<Location "/user">
    FastCgiNgAuthorizer auth
    FastCgiNgAuthorizerUser on
    Require valid-user
</Location>
<Location "/anon">
    FastCgiNgAuthorizer auth
    FastCgiNgAuthorizerUser on
    FastCgiNgPass app
</Location>
<Location "/late">
    FastCgiNgAuthorizer auth phase=authz
    RewriteEngine On
    RewriteRule moved https://elsewhere.example/ [R,L]
</Location>
<Location "/latebasic">
    FastCgiNgAuthorizer auth phase=authz
    Require valid-user
    ErrorDocument 401 /latebasic/login.html
</Location>
<Location "/errdoc">
    FastCgiNgAuthorizer auth
    FastCgiNgAuthorizerErrorDocument on
    ErrorDocument 403 /errdoc/sorry.html
    ErrorDocument 401 "text"
</Location>
ErrorDocument 403 /index.html
<Location "/in">
    FastCgiNgAuthorizer auth
</Location>
<Location "/in/out">
    FastCgiNgAuthorizer off
</Location>
<Location "/deflate">
    FastCgiNgAuthorizer auth
    SetOutputFilter INCLUDES;DEFLATE
    AddDefaultCharset utf-16
</Location>
<Location "/moved">
    FastCgiNgAuthorizer auth
    ErrorDocument 404 /free/env.cgi
</Location>
<Location "/plain">
    FastCgiNgPass app
</Location>
<Location "/proxied">
    FastCgiNgAuthorizer auth
    RequestHeader set X-Team "%{TEAM}e"
</Location>
<Location "/slow">
    FastCgiNgAuthorizer auth
    FastCgiNgAuthorizerReadTimeout 300ms
    FastCgiNgReadTimeout 20s
</Location>
<Location "/param">
    FastCgiNgAuthorizer auth
    FastCgiNgAuthorizerParam LEVEL "%{REQUEST_METHOD}-1"
    FastCgiNgAuthorizerParam !HTTP_X_INTERNAL
    FastCgiNgAuthorizerParam SCRIPT_NAME /wrong
    FastCgiNgParam OTHER 1
    FastCgiNgAuthorizerStdin off
</Location>
CONF
    $host->server(apache => <<"CONF");
FastCgiNgPool few @{[$auth->address]} max_connections=1 max_queue=0
<Location "/few">
    FastCgiNgAuthorizer few
</Location>
ProxyPass "/proxied/" "http://127.0.0.1:$host->{port}/plain/" disablereuse=on
FastCgiNgPool nobody unix:@{[$host->dir]}/none.sock
<Location "/two">
    FastCgiNgAuthorizer auth nobody
</Location>
<Location "/two/one">
    FastCgiNgAuthorizer auth
</Location>
<Directory "@{[$host->docroot]}/fileinfo">
    AllowOverride FileInfo
</Directory>
CONF
    $host->start;
    my $r;

    # ---- with Require
    is($host->get('/denied/page.txt')->{status}, 403,
        'a grant does not overrule "Require all denied"');
    is($host->get('/basic/page.txt')->{status}, 401, 'nor "valid-user"');
    is($host->get('/basic/page.txt', headers => [basic('joe', 'bad')])
        ->{status}, 401, 'nor a wrong password');
    $r = $host->get('/basic/page.txt', headers => [basic('joe', 'secret')]);
    is($r->{body}, 'page of basic', 'both grant');
    $r = $host->get('/basic/env.cgi', headers => [basic('joe', 'secret')]);
    like($r->{body}, qr/REMOTE_USER=joe$/m, 'the user is who logged in');
    is($host->get('/basic/page.txt?do=deny', headers => [basic('joe',
        'secret')])->{body}, '<!--#echo var="TEAM" -->', 'only one grants');
    is($host->get('/env/page.txt')->{status}, 200,
        'Require env and expr see the variable');
    is($host->get('/env/page.txt?do=plain')->{status}, 403,
        'and its absence');

    # ---- Satisfy Any
    is($host->get('/both/page.txt')->{status}, 200, 'any: a grant is enough');
    is($host->get('/any/page.txt')->{status}, 200, 'also alone');
    my $client = $host->client;
    $r = $client->request_on('GET', '/both/page.txt?do=deny');
    is($r->{status}, 401, 'any: the challenge of Basic comes first');
    like($r->header('WWW-Authenticate'), qr/^Basic/, 'it is there');
    $r = $client->request_on('GET', '/both/page.txt');
    is($r->{body}, 'page of both', 'one response to one request');
    $r = $client->request_on('GET', '/both/page.txt?do=login');
    is(join(' ', map { (split)[0] } $r->header('WWW-Authenticate')),
        'Basic App', 'a challenge is added');
    $r = $client->request_on('GET', '/both/page.txt?do=deny',
        headers => [basic('joe', 'secret')]);
    is($r->{body}, 'page of both', 'any: the password is enough');
    $r = $client->request_on('GET', '/any/page.txt?do=login');
    is("$r->{status} $r->{body}", '401 log in here',
        'any: a 401 outranks a 403');
    $r = $host->get('/both/page.txt?do=away',
        headers => [basic('joe', 'secret')]);
    is($r->{status}, 302, 'any: a redirect is no vote');
    $r = $host->get('/both/page.txt?do=dies',
        headers => [basic('joe', 'secret')]);
    is($r->{status}, 502, 'any: nor is a failure');

    # ---- variables
    $r = $host->get('/vars/env.cgi');
    like($r->{body}, qr/TEAM=blue .*REMOTE_USER=app--$/m, 'CGI');
    $r = $host->get('/vars/echo.shtml');
    like($r->{body}, qr/^\[blue\]\[TEAM=blue/, 'SSI and what it includes');
    $r = $host->get('/app/x');
    like($r->{body}, qr/^TEAM=blue$/m, 'our own Responder');
    like($r->{body}, qr{^Asked-For=/app/x$}m, 'the case is kept');
    like($r->{body}, qr/^HTTP_X_TEAM=blue$/m, 'RequestHeader');
    like($r->{body}, qr/^REMOTE_USER=app--$/m, 'REMOTE_USER');
    $r = $host->get('/app/x', headers => [TEAM => 'evil', 'X-Team' => 'evil']);
    unlike($r->{body}, qr/^(?:TEAM|HTTP_X_TEAM)=evil/m,
        'the client sets none of it');
    like($host->get('/set/env.cgi')->{body}, qr/TEAM=blue/,
        'SetEnv does not replace it');
    $r = $host->get('/spoof/page.txt?do=plain', headers => ['X-Evil' => 'z']);
    like($r->{body}, qr/^TEAM=$/m, 'Unset: SetEnvIf does not speak for it');
    $r = $host->get('/proxied/x', headers => ['X-Team' => 'evil']);
    like($r->{body}, qr/^HTTP_X_TEAM=blue$/m, 'a proxied application');
    like($host->get('/moved/x')->{body}, qr{^TEAM=blue /moved/x },
        'kept over a rewrite');
    $r = $host->get('/moved/missing');
    like("$r->{status} $r->{body}", qr{^404 TEAM=blue /moved/missing },
        'and to an ErrorDocument');
    $r = $host->get('/anon/x');
    like($r->{body}, qr/^REMOTE_USER=app--$/m, 'AuthorizerUser on');
    is($host->get('/user/env.cgi')->{status}, 401,
        'which is no way past valid-user');
    $r = $host->get('/user/env.cgi', headers => [basic('joe', 'secret')]);
    like($r->{body}, qr/REMOTE_USER=app-/, 'but names the user');
    # A line is written when its response has gone out.
    my $logged = sub {
        my ($line) = @_;
        return wait_until(3, sub {
            slurp($host->dir . '/logs/access.log') =~ $line });
    };
    ok($logged->(qr{^200 - blue /vars/env.cgi$}m), 'log: %{TEAM}e');
    ok($logged->(qr{^200 app-- blue /anon/x$}m), 'log: %u');

    # ---- after authentication
    $auth->forget;
    $r = $host->get('/latebasic/page.txt');
    is("$r->{status} $r->{body}", '401 log in', 'phase=authz: 401');
    is(asked($auth, qr/latebasic/), 0, 'and is not asked');
    $r = $host->get('/latebasic/page.txt', headers => [basic('joe',
        'secret')]);
    is($r->{status}, 200, 'with a user');
    is($auth->events('request') ? ($auth->events('request'))[-1]
        {env}{REMOTE_USER} : '', 'joe', 'whom it is told');
    is($host->get('/late/page.txt?do=deny')->{body},
        '<!--#echo var="TEAM" -->', 'a denial');
    is($host->get('/late/moved?do=deny')->{status}, 403,
        'comes before redirects of mod_rewrite');
    is($host->get('/late/moved')->{status}, 302, 'which are for the rest');

    # ---- denials
    $client = $host->client;
    $r = $client->request_on('GET', '/vars/echo.shtml?do=deny');
    is($r->{body}, '<!--#echo var="TEAM" -->', 'its body is not parsed');
    is(join(',', $r->header('Content-Type'), $r->header('X-By'),
        $r->header('Set-Cookie')), 'text/x-app,app,a=1', 'its head');
    $r = $client->request_on('POST', '/app/x?do=deny', body => 'x' x 1048576);
    is($r->{status}, 403, 'a body of 1 MiB unread');
    $r = $client->request_on('GET', '/app/x');
    is($r->{status}, 200, 'the connection goes on');
    $r = $client->request_on('GET', '/app/x?do=odd');
    is("$r->{status} $r->{body}", '299 299', 'an unknown status');
    $r = $client->request_on('GET', '/app/x?do=long');
    is($r->{body}, '12345', 'a body longer than announced is cut');
    is(join(',', $r->header('Content-Length')), '5', 'one Content-Length');
    $r = $client->request_on('GET', '/app/x');
    is($r->{status}, 200, 'and leaves nothing behind');
    is($host->get('/app/x?do=short')->{status}, 502, 'a shorter one fails');
    $r = $host->get('/app/x?do=twice');
    is(join(',', $r->header('X-Twice')), 'server', 'Header always set');
    $client = $host->client;
    $client->send("POST /app/x?do=deny HTTP/1.1\r\nHost: x\r\n"
        . "Content-Length: 1048576\r\nExpect: 100-continue\r\n\r\n");
    $r = $client->response(interim => 1);
    is($r->{status}, 403, 'no "100 Continue" before a denial');
    for my $what ('grant', 'deny') {
        $r = $host->get("/deflate/page.txt?do=$what",
            headers => ['Accept-Encoding' => 'gzip']);
        is($r->header('Content-Encoding'), $what eq 'deny' ? undef : 'gzip',
            "filters of the place: $what");
    }
    is(join(' ', $r->{body}, $r->header('Content-Type')),
        '<!--#echo var="TEAM" --> text/x-app', 'do not touch a denial');
    $r = $host->get('/errdoc/page.txt?do=deny');
    is("$r->{status} $r->{body}", '403 sorry', 'ErrorDocument on');
    $r = $host->get('/errdoc/page.txt?do=login');
    is("$r->{status} $r->{body}", '401 text', 'also a text');
    like($r->header('WWW-Authenticate'), qr/^App/, 'with its challenge');
    is($host->get('/errdoc/page.txt?do=odd')->{body}, '299',
        'where there is none, the answer');

    # ---- where it stands
    is($host->get('/in/out/page.txt?do=deny')->{body}, 'unprotected', 'off');
    is($host->get('/htaccess/page.txt?do=deny')->{status}, 403, '.htaccess');
    is($host->get('/htaccess/page.txt')->{status}, 200, '.htaccess: grant');
    is($host->get('/htaccess/off/page.txt?do=deny')->{status}, 200, 'off');
    is($host->get('/fileinfo/page.txt')->{status}, 500,
        'AllowOverride FileInfo is not enough');
    like($host->log, qr/FastCgiNgAuthorizer not allowed here/, 'is told');
    is($host->get('/two/one/page.txt')->{status}, 200,
        'a deeper list replaces the outer one');
    is($host->get('/htaccess/bad/page.txt')->{status}, 500, 'no such pool');
    like($host->log, qr/there is no pool "unknown"/, 'is told');

    # ---- failures
    is($host->get('/two/page.txt')->{status}, 503, 'the second fails');
    is($host->get('/two/page.txt?do=deny')->{status}, 403, 'the first denies');
    is($host->get('/slow/x?do=slow')->{status}, 504, 'a time-out');
    like($host->log, qr/FCNG003.*FastCgiNgAuthorizerReadTimeout/,
        'names its directive');
    $client = $host->client;
    $auth->forget;
    $client->send("GET /few/x?do=slow HTTP/1.1\r\nHost: x\r\n\r\n");
    $auth->wait_event('request');
    $r = $host->get('/few/x?do=plain');
    is("$r->{status} " . ($r->header('Retry-After') // ''), '503 1',
        'a full queue');
    $auth->open_gate('slow');
    is($client->response->{status}, 404, 'who was asked goes on');

    # ---- a client that leaves
    $auth->close_gate('slow')->forget;
    $client = $host->client;
    $client->send("GET /app/leaves?do=slow HTTP/1.1\r\nHost: x\r\n\r\n");
    $auth->wait_event('request');
    $client->close;
    ok($logged->(qr{^499 - - /app/leaves$}m), 'a client that leaves: 499');
    ok(!grep({ $_->{env}{PATH_INFO} eq '/leaves' } $app->events('request')),
        'and the Responder never hears of it');
    $auth->open_gate('slow');

    # ---- what it is sent
    $auth->forget;
    $host->get('/param/x?do=deny', headers => ['X-Internal' => 1]);
    my ($asked) = $auth->events('request');
    is($asked->{env}{LEVEL}, 'GET-1', 'FastCgiNgAuthorizerParam');
    ok(!exists $asked->{env}{$_}, "no $_")
        for qw(HTTP_X_INTERNAL SCRIPT_NAME OTHER);
    like($host->console . $host->log,
        qr/FastCgiNgAuthorizerParam SCRIPT_NAME is never sent/,
        'which is told at start');

    $host->another('subrequests', load => \@load, \&subrequests);
    $host->another('cache', load => [@load, 'cache', 'cache_disk'], \&cache);
    $host->another('HTTP/2', load => \@load, http2 => 1, \&http2)
        if $host->mpm ne 'prefork'; # which mod_http2 does not work with
});
