# SPDX-License-Identifier: BSD-2-Clause
#
# Variables of an authorizer in nginx: $fastcgi_ng_auth_NAME and $remote_user
# for proxies, other modules and logs, through internal redirects, in
# subrequests; what fastcgi_ng_authorizer_param sends.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(slurp wait_until spew);
use MIME::Base64 qw(encode_base64);
use Test::More;

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $grant = $r->env('HTTP_GRANT') // '';
        return $r->answer("Status: 403\r\nVariable-TEAM: no\r\n\r\ndenied")
            if $grant eq 'no';
        $r->answer("Status: 200\r\n"
            . join('', map { "Variable-$_\r\n" } split /,/, $grant) . "\r\n");
    });
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        return $r->text('<!--#include virtual="/proxied/part" -->'
            . '<!--#echo var="fastcgi_ng_auth_team" default="-" -->')
            if $r->action eq 'page';
        $r->text(join ' ', map { "$_=" . ($r->env($_) // '-') }
            qw(TEAM REMOTE_USER USER LATER));
    });
    my $dir = $host->dir;
    spew("$dir/users", "bob:{PLAIN}secret\n");
    chmod 0644, "$dir/users";
    my $port = $host->port;
    my $line = 'fastcgi_ng_authorizer ' . $auth->address . ";\n";
    my $pass = 'fastcgi_ng_pass ' . $app->address . ";\n"
        . "fastcgi_ng_mount on;\n";
    push @{ $host->{apps} }, $auth, $app;
    $host->main(nginx => <<'CONF');
log_format auth '$uri team=$fastcgi_ng_auth_team user=$remote_user';
map $fastcgi_ng_auth_role $level { admin high; default low; }
CONF
    my $proxy = <<"CONF";
proxy_pass http://127.0.0.1:$port/echo/;
proxy_set_header X-Team \$fastcgi_ng_auth_TEAM;
proxy_set_header X-Session \$fastcgi_ng_auth_shib_session;
proxy_set_header X-User \$remote_user;
proxy_set_header X-Level \$level;
CONF
    $host->server(nginx => <<"CONF");
access_log $dir/logs/access auth;
location /echo/ {
    return 200 "\$http_x_team|\$http_x_session|\$http_x_user|\$http_x_level";
}
location /proxied/ { $line $proxy }
location /early/ { set \$before \$remote_user; $line $proxy }
location /plain/ { $proxy }
location /app/ {
    $line
    fastcgi_ng_param TEAM \$arg_team;
    fastcgi_ng_param REMOTE_USER \$remote_user;
    fastcgi_ng_param USER \$fastcgi_ng_auth_remote_user;
    fastcgi_ng_param LATER "\$fastcgi_ng_auth_team/\$arg_x";
    ssi on; ssi_types text/plain;
    add_header X-Team \$fastcgi_ng_auth_team;
    $pass
}
location /first/ { $line try_files \$uri /second/x; }
location /second/ { $proxy }
location /third/ { $line error_page 404 = /plain/x; }
location /param/ {
    $line
    fastcgi_ng_param HIDDEN yes;
    fastcgi_ng_authorizer_param REALM "r \$arg_x";
    fastcgi_ng_authorizer_param HTTP_COOKIE "";
    fastcgi_ng_authorizer_param REMOTE_USER \$remote_user if_not_empty;
    fastcgi_ng_authorizer_param REDIRECT_STATUS "" if_not_empty;
    fastcgi_ng_authorizer_param PATH_INFO /p;
    auth_basic b; auth_basic_user_file $dir/users;
}
CONF
    $host->file('param/file', 'x');
    my ($exit, $said) = $host->test_conf;
    like($said, qr/\[warn\].*"fastcgi_ng_authorizer_param PATH_INFO" is not sent/,
        'nginx -t warns of a parameter that no authorizer gets');
    $host->expect(qr/open\(\) .* failed/);
    $host->start;

    my @bob = (Authorization => 'Basic ' . encode_base64('bob:secret', ''));
    my $is = sub {
        my ($path, $grant, $wanted, $what, @headers) = @_;
        my $r = $host->get($path, headers => [Grant => $grant, @headers]);
        is("$r->{status} $r->{body}", $wanted, $what)
            or diag($host->new_log);
        return $r;
    };

    # ---- proxies
    $is->('/proxied/x', 'TEAM: blue,Shib-Session: s1,ROLE: admin',
        '200 blue|s1||high', 'proxy_set_header, map');
    $is->('/proxied/x', 'ROLE: guest', '200 |||low', 'what is not set');
    $is->('/proxied/x', 'TEAM: blue', '200 blue|||low',
        'a client\'s fields are replaced', 'X-Team' => 'red',
        'Variable-TEAM' => 'red', 'X-Session' => 's9');
    $is->('/proxied/x?fastcgi_ng_auth_team=red', '', '200 |||low',
        'no argument makes one', 'X-Team' => 'red',
        'fastcgi-ng-auth-team' => 'red');

    # ---- $remote_user
    $is->('/proxied/x', 'REMOTE_USER: ann', '200 ||ann|low', '$remote_user');
    $is->('/proxied/x', 'REMOTE_USER: ann', '200 ||ann|low',
        'over what the client claims', @bob);
    $is->('/early/x', 'REMOTE_USER: ann', '200 ||ann|low',
        'also when that was looked at before', @bob);
    $is->('/early/x', '', '200 ||bob|low', 'else nginx\'s own', @bob);
    $is->('/plain/x', 'REMOTE_USER: ann', '200 ||bob|low',
        'and where nobody is asked', @bob);

    # ---- parameters
    $is->('/app/x?team=red&x=1', 'TEAM: blue,REMOTE_USER: ann',
        '200 TEAM=blue REMOTE_USER=ann USER=ann LATER=blue/1',
        'in the place of a parameter with a variable', @bob);
    $is->('/app/x?team=red', 'A: b',
        '200 TEAM=red REMOTE_USER= USER= LATER=/', 'without one');
    my $r = $is->('/app/page', 'TEAM: blue', '200 blue|||lowblue',
        'a part of a page has them');
    is($r->header('X-Team'), 'blue', 'add_header');
    $is->('/app/page', 'no', '403 denied', 'a denial sets none');

    # ---- internal redirects
    $is->('/first/x', 'TEAM: blue,REMOTE_USER: ann', '200 blue||ann|low',
        'they stay when nginx goes elsewhere', @bob);
    $is->('/third/x', 'TEAM: blue', '200 blue|||low', 'by error_page too');

    # ---- the log
    my $log = sub { slurp("$dir/logs/access") };
    ok(wait_until(3, sub { $log->() =~ m{^/app/page team=- user=-$}m }),
        'the log of a denial') or diag($log->());
    like($log->(), qr{^/app/x team=blue user=ann$}m, 'of a grant');
    like($log->(), qr{^/second/x team=blue user=ann$}m, 'of a redirect');

    # ---- what is asked with
    $auth->forget;
    $r = $host->get('/param/file?x=1', headers => [Cookie => 'c=1', @bob]);
    is($r->{status}, 200, 'asked');
    my ($asked) = $auth->events('request');
    is(join(' ', map { "$_=" . ($asked->{env}{$_} // '-') } qw(REALM
        REMOTE_USER HTTP_COOKIE REDIRECT_STATUS HIDDEN HTTP_HOST)),
        "REALM=r 1 REMOTE_USER=bob HTTP_COOKIE=- REDIRECT_STATUS=- HIDDEN=- "
        . "HTTP_HOST=localhost:$port", 'parameters of the question');
});
