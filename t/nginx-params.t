# SPDX-License-Identifier: BSD-2-Clause
#
# What only nginx has: fastcgi_ng_index, fastcgi_ng_split_path_info and its
# variables, fastcgi_ng_param from several levels, with variables, removed and
# replaced, the files that packages ship, include of a stock configuration.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

my ($host, $app);

sub env_of {
    my ($path, %more) = @_;
    $app->forget;
    my $r = $host->request($more{method} // 'GET', $path, %more);
    my $seen = $app->wait_event('request', seconds => 0.5);
    return { status => $r->{status}, body => $r->{body} } if !$seen;
    my %times;
    my @list = @{ $seen->{list} };
    while (my ($name) = splice @list, 0, 2) { $times{$name}++ }
    is_deeply([grep { $times{$_} > 1 } sort keys %times], [],
        "$path: nothing is sent twice");
    return { %{ $seen->{env} }, status => $r->{status} };
}

sub has {
    my ($env, $what, %want) = @_;
    is($env->{$_}, $want{$_}, "$what: $_") for sort keys %want;
}

FCNG::Hosts->each(only => 'nginx', sub {
    ($host) = @_;
    my $root = $host->docroot;
    my $top = FCNG::Util::top();
    $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        $r->text('ok');
    });
    push @{ $host->{apps} }, $app;
    my $pass = 'fastcgi_ng_pass ' . $app->address . ';';
    my $split = 'fastcgi_ng_split_path_info ^(.+?\.php)(/.*)?$;';
    $host->main(nginx => <<'NGINX');
fastcgi_ng_param LEVEL http;
fastcgi_ng_param FROM_HTTP yes;
map $arg_empty $maybe { default ""; 1 one; }
NGINX
    $host->server(nginx => <<"NGINX");
location /inherits { $pass }
location /own {
    fastcgi_ng_param LEVEL location;
    $pass
}
location /values {
    fastcgi_ng_param PLAIN "a b";
    fastcgi_ng_param MIXED "<\$arg_x|\$request_method>";
    fastcgi_ng_param ONE \$arg_x;
    fastcgi_ng_param EMPTY "";
    fastcgi_ng_param MAYBE \$maybe if_not_empty;
    fastcgi_ng_param SERVER_SOFTWARE "" if_not_empty;
    fastcgi_ng_param REQUEST_URI replaced;
    fastcgi_ng_param HTTP_X_OURS ours;
    fastcgi_ng_param HTTP_X_GONE "" if_not_empty;
    $pass
}
location /bare {
    fastcgi_ng_default_params off;
    fastcgi_ng_pass_request_headers off;
    fastcgi_ng_param ONLY \$request_method;
    $pass
}
location /no-headers { fastcgi_ng_pass_request_headers off; $pass }
location /no-body { fastcgi_ng_pass_request_body off; $pass }
location /index/ {
    fastcgi_ng_index start.php;
    fastcgi_ng_check_script off;
    fastcgi_ng_param NAME \$fastcgi_ng_script_name;
    $pass
}
location ~ ^/split/.*\\.php {
    $split
    fastcgi_ng_param NAME \$fastcgi_ng_script_name;
    fastcgi_ng_param INFO \$fastcgi_ng_path_info;
    $pass
}
location ~ ^/stock/.*\\.php {
    include $top/ngx_module/conf/snippets/fastcgi_ng-php.conf;
    $pass
}
location /mounted/ { fastcgi_ng_mount on; $pass }
location = /exact { fastcgi_ng_mount on; $pass }
location /front { fastcgi_ng_script $root/front.php; $pass }
location /alias/ { alias $root/other/; $split $pass }
NGINX
    # They include each other by relative names.
    FCNG::Util::spew($host->dir . "/$_",
        FCNG::Util::slurp("$top/ngx_module/conf/$_"))
        for qw(fastcgi_ng.conf fastcgi_ng_params);
    $host->file($_, '<?php') for qw(split/a.php split/b.php.txt stock/s.php
        front.php other/o.php);
    $host->start;

    has(env_of('/inherits/x'), 'http{}', LEVEL => 'http', FROM_HTTP => 'yes',
        SCRIPT_NAME => '/inherits/x', SCRIPT_FILENAME => "$root/inherits/x",
        REDIRECT_STATUS => 200);
    has(env_of('/own/x'), 'a location of its own', LEVEL => 'location',
        FROM_HTTP => undef);
    has(env_of('/values?x=%20&empty=0', headers => ['X-Ours' => 'theirs',
        'X-Gone' => 'theirs']), 'values', PLAIN => 'a b',
        MIXED => '<%20|GET>', ONE => '%20', EMPTY => '', MAYBE => undef,
        SERVER_SOFTWARE => undef, REQUEST_URI => 'replaced',
        HTTP_X_OURS => 'ours', HTTP_X_GONE => undef);
    has(env_of('/values?empty=1'), 'if_not_empty', MAYBE => 'one',
        ONE => '');
    my $bare = env_of('/bare', headers => ['X-A' => 1]);
    is_deeply([sort grep { !/^status$/ } keys %$bare], ['ONLY'],
        'no default parameters, no fields');
    has(env_of('/no-headers', headers => ['X-A' => 1]), 'no fields',
        HTTP_X_A => undef, HTTP_HOST => undef, REQUEST_METHOD => 'GET');
    my $env = env_of('/no-body', method => 'POST', body => 'lost');
    ok(($env->{CONTENT_LENGTH} // '') =~ /^0?$/, 'no body: no length of it')
        or diag($env->{CONTENT_LENGTH});

    has(env_of('/index/'), 'fastcgi_ng_index', SCRIPT_NAME =>
        '/index/start.php', SCRIPT_FILENAME => "$root/index/start.php",
        NAME => '/index/start.php');
    has(env_of('/split/a.php/b/c%20d?e'), 'split', NAME => '/split/a.php',
        INFO => '/b/c d', SCRIPT_NAME => '/split/a.php',
        SCRIPT_FILENAME => "$root/split/a.php", PATH_INFO => '/b/c d',
        PATH_TRANSLATED => "$root/b/c d", QUERY_STRING => 'e');
    $env = env_of('/split/a.php');
    has($env, 'split, no path', INFO => '', SCRIPT_NAME => '/split/a.php');
    ok(!length($env->{PATH_INFO} // ''), 'and no PATH_INFO');
    is(env_of('/split/b.php.txt/x.php')->{status}, 404, 'no such script');
    has(env_of('/stock/s.php/p'), 'the snippet of the package',
        SCRIPT_FILENAME => "$root/stock/s.php", PATH_INFO => '/p',
        SCRIPT_NAME => '/stock/s.php');

    has(env_of('/mounted/a/b'), 'a mount', SCRIPT_NAME => '/mounted',
        PATH_INFO => '/a/b', SCRIPT_FILENAME => undef);
    has(env_of('/mounted/'), 'its root', SCRIPT_NAME => '/mounted',
        PATH_INFO => '/');
    has(env_of('/exact'), 'an exact location', SCRIPT_NAME => '/exact',
        PATH_INFO => '');
    has(env_of('/front/a'), 'a front controller', SCRIPT_NAME => '/front.php',
        SCRIPT_FILENAME => "$root/front.php", PATH_INFO => '/front/a',
        DOCUMENT_URI => '/front/a');
    has(env_of('/alias/o.php/x'), 'an alias',
        SCRIPT_FILENAME => "$root/other/o.php", PATH_INFO => '/x',
        SCRIPT_NAME => '/alias/o.php');
});
