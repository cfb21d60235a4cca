# SPDX-License-Identifier: BSD-2-Clause
#
# Which authorizers count in a place of nginx's configuration, who is asked
# again when nginx goes from one place to another, and what subrequests have.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

# An authorizer that is called |name|: it denies when the field Deny names it.
sub authorizer {
    my ($name) = @_;
    return FCNG::App->new(request => sub {
        my ($r) = @_;
        my $uri = $r->env('DOCUMENT_URI');
        return $r->answer("Status: 403\r\n\r\ndenied by $name")
            if ($r->env('HTTP_DENY') // '') eq $name
            || $uri eq ($r->env('HTTP_DENYURI') // '');
        my $from = $r->env('FROM_A') // '-';
        $r->answer("Status: 200\r\nVariable-FROM_\U$name\E: $uri\r\n"
            . "Variable-LAST: $name\r\nVariable-SAW-A: $from\r\n\r\n");
    });
}

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my %auth = map { $_ => authorizer($_) } qw(a b c);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        if ($do eq 'accel') {
            return $r->answer("X-Accel-Redirect: /site/two/file\r\n\r\n");
        }
        if ($do eq 'page') {
            return $r->text('[<!--#include virtual="/site/two/part" -->]');
        }
        $r->note('mirrored') if $do eq 'copy';
        $r->body;
        return $r->text(join ' ', map { "$_=" . ($r->env($_) // '-') }
            qw(FROM_A FROM_B FROM_C LAST SAW-A));
    });
    my %line = map { $_ => 'fastcgi_ng_authorizer ' . $auth{$_}->address
        . ";\n" } keys %auth;
    my $pass = 'fastcgi_ng_pass ' . $app->address . ";\n"
        . "fastcgi_ng_script /x;\n";
    push @{ $host->{apps} }, $app, values %auth;
    $host->file("$_", "file $_") for qw(site/file site/two/file site/off/file
        site/dir/index.html site/try/file);
    $host->server(nginx => <<"CONF");
$line{a}
location /site/ { }
location /site/dir/ { index index.html; }
location /site/off/ { fastcgi_ng_authorizer off; }
location /site/off/deeper/ { $pass }
location /site/off/back/ { $line{a} $pass }
location /site/two/ { $line{b} $line{c} $pass }
location /site/both/ { $line{a} $line{b} $pass }
location /site/twice/ { $line{a} $line{a} $pass }
location /site/if/ {
    $pass
    if (\$arg_if) { fastcgi_ng_pass @{[$app->address]}; }
    if (\$arg_return) { return 204; }
}
location /site/limit/ {
    $pass
    limit_except GET { fastcgi_ng_pass @{[$app->address]}; }
}
location /site/limitdeny/ { $pass limit_except GET { deny all; } }
location /site/try/ { try_files \$uri \@same; }
location /site/tryother/ { try_files \$uri \@other; }
location /site/tryuri/ { try_files \$uri /site/front; }
location = /site/front { $pass }
location \@same { $pass }
location \@other { $line{b} $pass }
location /site/error/ { error_page 404 = /site/two/error; }
location /site/rewrite/ { rewrite ^ /site/two/rewritten last; }
location /site/accel { $pass }
location /site/page { ssi on; ssi_types text/plain; $pass }
location /site/mirror/ { mirror /site/two/copy; $pass }
location /site/auth/ { auth_request /site/two/ask; $pass }
location /site/tooff/ { try_files \$uri /site/off/deeper/x; }
location /open/ { fastcgi_ng_authorizer off; return 200 "open"; }
CONF
    $host->expect(qr/open\(\) .* failed/);
    $host->server(nginx => "location = /index.html { fastcgi_ng_authorizer "
        . "off; }\n");
    $host->start;

    # is(path, wanted, asked, what, more...): asked: who, of which path.
    my $is = sub {
        my ($path, $wanted, $asked, $what, %more) = @_;
        $_->forget for values %auth;
        my $r = $host->request($more{method} // 'GET', $path, %more);
        my @all = sort { $a->{at} <=> $b->{at} } map { my $name = $_;
            map { { %$_, name => $name } } $auth{$name}->events('request')
            } sort keys %auth;
        is("$r->{status} $r->{body}", $wanted, $what);
        is(join(' ', map { "$_->{name}:" . $_->{env}{DOCUMENT_URI}
            =~ s{/site/}{}r } @all), $asked, "$what: who was asked")
            or diag($host->new_log);
        return $r;
    };
    my $vars = sub { "FROM_A=$_[0] FROM_B=$_[1] FROM_C=$_[2] LAST=$_[3] "
        . "SAW-A=$_[4]" };

    # Places.
    $is->('/site/file', '200 file site/file', 'a:file', 'inherited');
    $is->('/site/off/file', '200 file site/off/file', '', 'off');
    $is->('/site/off/deeper/x', '200 ' . $vars->('/site/off/deeper/x', '-',
        '-', 'a', '-'), 'a:off/deeper/x', 'a sibling of off');
    $is->('/site/two/x', '200 ' . $vars->('-', '/site/two/x', '/site/two/x',
        'c', '-'), 'b:two/x c:two/x', 'its own in the place of the outer');
    $is->('/site/both/x', '200 ' . $vars->('/site/both/x', '/site/both/x',
        '-', 'b', '/site/both/x'), 'a:both/x b:both/x',
        'the second is told what the first has set');
    $is->('/site/both/x', '403 denied by a', 'a:both/x',
        'the first denies', headers => [Deny => 'a']);
    $is->('/site/both/x', '403 denied by b', 'a:both/x b:both/x',
        'the second denies', headers => [Deny => 'b']);
    $is->('/site/twice/x', '200 ' . $vars->('/site/twice/x', '-', '-', 'a',
        '/site/twice/x'), 'a:twice/x a:twice/x', 'the same one twice');
    $is->('/site/if/x', '200 ' . $vars->('/site/if/x', '-', '-', 'a', '-'),
        'a:if/x', 'a location with if');
    $is->('/site/if/x?if=1', '200 ' . $vars->('/site/if/x', '-', '-', 'a',
        '-'), 'a:if/x', 'in the if');
    $is->('/site/if/x?return=1', '204 ', '', 'return comes before');
    $is->("/site/limit/x", '200 ' . $vars->('/site/limit/x', '-', '-', 'a',
        '-'), 'a:limit/x', "limit_except: $_", method => $_, body => 'x')
        for qw(GET POST);
    $is->("/site/limitdeny/x", '403 denied by a', 'a:limitdeny/x',
        'limit_except: GET', headers => [Deny => 'a']);
    like($host->post('/site/limitdeny/x', 'x')->{body}, qr/nginx/,
        'and another method, which nginx refuses');

    # From one place to another.
    $is->('/site/try/file', '200 file site/try/file', 'a:try/file',
        'try_files: a file');
    $is->('/site/try/none', '200 ' . $vars->('/site/try/none', '-', '-', 'a',
        '-'), 'a:try/none', 'a named location, the same question: once');
    $is->('/site/tryother/x', '200 ' . $vars->('/site/tryother/x',
        '/site/tryother/x', '-', 'b', '-'), 'a:tryother/x b:tryother/x',
        'another authorizer there');
    $is->('/site/tryother/x', '403 denied by b', 'a:tryother/x b:tryother/x',
        'which denies', headers => [Deny => 'b']);
    $is->('/site/tryuri/x', '200 ' . $vars->('/site/front', '-', '-', 'a',
        '-'), 'a:tryuri/x a:front', 'another path: asked again');
    $is->('/site/tryuri/x', '403 denied by a', 'a:tryuri/x a:front',
        'and denied there', headers => [Denyuri => '/site/front']);
    $is->('/site/dir/', '200 file site/dir/index.html',
        'a:dir/ a:dir/index.html', 'index');
    $is->('/site/dir/', '403 denied by a', 'a:dir/ a:dir/index.html',
        'denied there', headers => [Denyuri => '/site/dir/index.html']);
    $is->('/site/error/x', '200 ' . $vars->('/site/error/x',
        '/site/two/error', '/site/two/error', 'c', '-'),
        'a:error/x b:two/error c:two/error', 'error_page');
    $is->('/site/error/x', '403 denied by c',
        'a:error/x b:two/error c:two/error', 'denied there',
        headers => [Deny => 'c']);
    $is->('/site/rewrite/x', '200 ' . $vars->('-', '/site/two/rewritten',
        '/site/two/rewritten', 'c', '-'),
        'b:two/rewritten c:two/rewritten', 'rewrite comes before');
    $is->('/site/accel', '200 ' . $vars->('/site/accel', '/site/two/file',
        '/site/two/file', 'c', '-'), 'a:accel b:two/file c:two/file',
        'X-Accel-Redirect');
    $is->('/site/accel', '403 denied by b', 'a:accel b:two/file',
        'denied there', headers => [Deny => 'b']);
    $is->('/site/tooff/x', '200 ' . $vars->('/site/off/deeper/x', '-', '-',
        'a', '-'), 'a:tooff/x a:off/deeper/x', 'back to an outer one');

    # Subrequests.
    $is->('/site/page', '200 [' . $vars->('/site/page', '-', '-', 'a', '-')
        . ']', 'a:page', 'a part has the decision and the variables');
    $is->('/site/page', '403 denied by a', 'a:page', 'of the page',
        headers => [Deny => 'a']);
    $is->('/site/mirror/x', '200 ' . $vars->('/site/mirror/x', '-', '-', 'a',
        '-'), 'a:mirror/x', 'a mirror', headers => [Deny => 'b']);
    $is->('/site/auth/x', '200 ' . $vars->('/site/auth/x', '-', '-', 'a',
        '-'), 'a:auth/x', 'auth_request', headers => [Deny => 'b']);
    $is->('/open/x', '200 open', '', 'return');
});
