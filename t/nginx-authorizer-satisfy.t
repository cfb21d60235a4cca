# SPDX-License-Identifier: BSD-2-Clause
#
# An authorizer among nginx's other access modules: who is asked, whose answer
# counts, and that nothing nginx does with answers turns a denial round:
# error_page, X-Accel-Redirect, caches, interception.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(spew);
use MIME::Base64 qw(encode_base64);
use Test::More;

# What the client asks the authorizer for stands in the field Do.
sub decide {
    my ($r) = @_;
    my $do = $r->env('HTTP_DO') // '';
    return $r->die_now if $do eq 'dies';
    my $more = '';
    $more = "WWW-Authenticate: Custom realm=\"ours\"\r\n" if $do eq '401';
    $more = "Location: http://login.example/\r\n" if $do eq '302';
    $more = "X-Accel-Redirect: /open/file\r\n" if $do =~ s/accel$//;
    return $r->answer("Status: $do\r\n${more}Content-Type: text/x-ours\r\n\r\n"
        . "ours $do") if $do =~ /^\d+$/;
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n\r\n");
}

my @right = (Authorization => 'Basic ' . encode_base64('ann:secret', ''));
my @wrong = (Authorization => 'Basic ' . encode_base64('ann:guess', ''));

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->text('page ' . ($r->env('TEAM') // '-'));
    });
    my $dir = $host->dir;
    spew("$dir/users", "ann:{PLAIN}secret\n");
    chmod 0644, "$dir/users";
    $host->file("$_/file", "the file") for qw(open all any deny none allow
        request requestany page icept err guard);
    $host->file('denied.html', 'the page of nginx');
    my $basic = "auth_basic b;\nauth_basic_user_file $dir/users;\n";
    my %place = (
        all => $basic,
        any => "satisfy any;\n$basic",
        anyicept => "satisfy any;\n${basic}error_page 403 /denied.html;\n"
            . "fastcgi_ng_authorizer_intercept_errors on;\n",
        deny => "deny all;\n",
        none => "satisfy any;\ndeny all;\n",
        noneicept => "satisfy any;\ndeny all;\nerror_page 401 /denied.html;\n"
            . "fastcgi_ng_authorizer_intercept_errors on;\n",
        allow => "satisfy any;\nallow 127.0.0.1;\ndeny all;\n",
        request => "auth_request /may;\n",
        requestany => "satisfy any;\nauth_request /may;\n",
        page => "error_page 403 =200 /denied.html;\n",
        icept => "error_page 401 403 =200 /denied.html;\n"
            . "fastcgi_ng_authorizer_intercept_errors on;\n",
        err => "error_page 502 =200 /denied.html;\n",
        guard => '',
        proxied => 'proxy_pass http://127.0.0.1:' . $host->port . "/open/;\n"
            . "proxy_intercept_errors on;\nerror_page 403 =200 /denied.html;\n",
    );
    $host->protect("/$_/", app => $auth, nginx => $place{$_})
        for sort keys %place;
    $host->server(nginx => <<'CONF');
location = /may {
    internal;
    if ($http_may = no) { return 403; }
    if ($http_may = who) { return 401; }
    return 204;
}
location /missing/ { error_page 404 =200 /guard/file; }
CONF
    $host->main(nginx => "fastcgi_ng_cache_path $dir/tmp/cache "
        . "keys_zone=pages:1m;\n"
        . "proxy_cache_path $dir/tmp/pcache keys_zone=ppages:1m;");
    $host->location('/cached/', app => $app, protect => $auth, nginx =>
        "fastcgi_ng_cache pages;\nfastcgi_ng_cache_key \$uri;\n"
        . "fastcgi_ng_cache_valid any 1m;\n"
        . "fastcgi_ng_cache_use_stale error timeout http_403 http_500;\n"
        . "fastcgi_ng_intercept_errors on;\n"
        . "error_page 403 =200 /denied.html;\n");
    $host->protect('/pcached/', app => $auth, nginx =>
        'proxy_pass http://127.0.0.1:' . $host->port . "/open/;\n"
        . "proxy_cache ppages;\nproxy_cache_key \$uri;\n"
        . "proxy_cache_valid any 1m;\n");
    $host->expect(qr/FCNG013/);
    $host->start;

    # is_answer(path, do, wanted, what, fields...): status, body and whether
    # the authorizer was asked.
    my $asked = 0;
    my $is = sub {
        my ($path, $do, $wanted, $what, @headers) = @_;
        my $before = () = $auth->events('request');
        my $r = $host->get($path, headers => [Do => $do, @headers]);
        my $after = () = $auth->events('request');
        my $body = $r->{body} =~ /<html>/ ? 'html' : $r->{body};
        is("$r->{status} $body" . ($after > $before ? ', asked' : ''), $wanted,
            $what) or diag($host->new_log);
        return $r;
    };
    my $both = sub {
        my ($r, $what) = @_;
        my @challenges = $r->header('WWW-Authenticate');
        is(join(',', sort map { /^(\w+)/ } @challenges), $what,
            "challenges: $what");
    };

    # satisfy all
    $is->('/all/file', '', '401 html', 'no password: not asked');
    $is->('/all/file', '', '401 html', 'wrong password: not asked', @wrong);
    $is->('/all/file', '', '200 the file, asked', 'both grant', @right);
    $is->('/all/file', '403', '403 ours 403, asked', 'ours denies', @right);
    $both->($is->('/all/file', '401', '401 ours 401, asked', 'by 401',
        @right), 'Custom');
    $is->('/deny/file', '', '403 html', 'denied by address: not asked');
    $is->('/request/file', '', '200 the file, asked', 'auth_request grants');
    $is->('/request/file', '', '403 html', 'auth_request denies: not asked',
        May => 'no');
    $is->('/request/file', '403', '403 ours 403, asked', 'ours denies');

    # satisfy any
    $is->('/any/file', '', '200 the file', 'a password: not asked', @right);
    $is->('/any/file', '', '200 the file, asked', 'ours grants');
    $is->('/any/file', '', '200 the file, asked', 'a wrong password, ours '
        . 'grants', @wrong);
    $both->($is->('/any/file', '403', '401 html, asked',
        'a challenge outranks 403'), 'Basic');
    $both->($is->('/any/file', '401', '401 html, asked', 'both by 401'),
        'Basic,Custom');
    my $r = $is->('/any/file', '302', '302 ours 302, asked',
        'another status is sent whole');
    is($r->header('Location'), 'http://login.example/', 'with its fields');
    $is->('/any/file', '503', '503 ours 503, asked', '503 too');
    $is->('/any/file', '201', '201 ours 201, asked', '201 too');
    $is->('/any/file', 'dies', '502 html, asked', 'a failure ends it');
    $both->($is->('/anyicept/file', '403', '401 html, asked',
        'with interception'), 'Basic');
    $is->('/none/file', '', '200 the file, asked', 'ours alone grants');
    $is->('/none/file', '403', '403 ours 403, asked', 'sent whole: no '
        . 'challenge is there');
    $both->($is->('/none/file', '401', '401 ours 401, asked', '401 over 403'),
        'Custom');
    $both->($is->('/noneicept/file', '401',
        '401 the page of nginx, asked', 'intercepted'), 'Custom');
    $is->('/allow/file', '403', '200 the file', 'allowed: not asked');
    $is->('/requestany/file', '403', '401 html, asked', 'a 401 of '
        . 'auth_request outranks 403', May => 'who');
    $is->('/requestany/file', '403', '200 the file',
        'auth_request grants: not asked');

    # Nothing turns a denial round.
    $is->('/page/file', '403', '403 ours 403, asked', 'error_page 403 =200');
    $is->('/page/file', '', '200 the file, asked', 'a grant there');
    $is->('/guard/file', '403accel', '403 ours 403, asked',
        'X-Accel-Redirect');
    $is->('/missing/file', '403', '403 ours 403, asked',
        'a denial at the target of error_page 404 =200');
    $is->('/missing/file', '', '200 the file, asked', 'a grant there');
    $is->('/proxied/file', '403', '403 ours 403, asked',
        'before a proxy with proxy_intercept_errors');
    $is->('/proxied/file', '', '200 the file, asked', 'a grant there');
    $is->('/icept/file', '403', '200 the page of nginx, asked',
        'interception shows the page');
    $both->($is->('/icept/file', '401', '200 the page of nginx, asked',
        'also of 401'), 'Custom');
    $is->('/icept/file', '404', '404 ours 404, asked',
        'without an error_page: ours');
    $is->('/err/file', 'dies', '200 the page of nginx, asked',
        'error_page 502 =200 shows the page and nothing else');

    # Caches stand behind.
    for my $where (qw(cached pcached)) {
        my $page = $where eq 'cached' ? 'page blue' : 'the file';
        $is->("/$where/file", '', "200 $page, asked", "$where: filled");
        $is->("/$where/file", '403', '403 ours 403, asked', 'denied');
        $is->("/$where/file", '500', '500 ours 500, asked', 'by 500');
        $is->("/$where/file", 'dies', '502 html, asked', 'failed');
        $is->("/$where/file", '', "200 $page, asked", 'granted');
    }
    is(scalar(my @pages = $app->events('request')), 1,
        'the page was in the cache');
});
