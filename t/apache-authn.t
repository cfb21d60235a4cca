# SPDX-License-Identifier: BSD-2-Clause
#
# Applications that know users and passwords: AuthBasicProvider fastcgi-ng;
# FastCgiNgAuthenticator and FastCgiNgAccessChecker, for the applications of
# mod_fcgid and mod_fastcgi, which look at FCGI_APACHE_ROLE.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(slurp spew wait_until);
use MIME::Base64 qw(encode_base64);
use Test::More;

# ann:open is a user; mary dies; an address with "no" in it is closed.
sub decide {
    my ($r) = @_;
    my %env = %{ $r->{env} };
    if (($env{FCGI_APACHE_ROLE} // '') eq 'ACCESS_CHECKER') {
        return $r->die_now if $env{DOCUMENT_URI} =~ /dies/;
        return $r->answer("Status: 403\r\n\r\nclosed")
            if $env{DOCUMENT_URI} =~ /no/;
        return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n\r\n");
    }
    return $r->die_now if ($env{REMOTE_USER} // '') eq 'mary';
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n"
        . "Variable-REMOTE_USER: Ann\r\n\r\n")
        if ($env{REMOTE_USER} // '') eq 'ann'
        && ($env{REMOTE_PASSWD} // '') eq 'open';
    return $r->answer("Status: 401\r\nContent-Type: text/x-a\r\n\r\nwho?");
}

sub basic { (Authorization => 'Basic ' . encode_base64("$_[0]:$_[1]", '')) }

FCNG::Hosts->each(only => 'apache', load => [qw(auth_basic authn_core
    authn_file authz_user)], sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        return $r->text(join ' ', map { $_ . '=' . ($r->env($_) // '') }
            qw(TEAM REMOTE_USER AUTH_TYPE REMOTE_PASSWD));
    });
    my $dir = $host->dir;
    # joe:secret
    spew("$dir/users", "joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    my $basic = "AuthType Basic\nAuthName x\nRequire valid-user\n"
        . "FastCgiNgPass app";
    $host->server(apache => <<"CONF");
LogFormat "%u %U" user
CustomLog $dir/logs/user.log user
FastCgiNgPool auth @{[$auth->address]}
FastCgiNgPool app @{[$app->address]}
<Location "/provider">
    FastCgiNgAuthenticator auth
    AuthBasicProvider fastcgi-ng
    $basic
</Location>
<Location "/after">
    AuthBasicProvider file fastcgi-ng
    AuthUserFile $dir/users
    FastCgiNgAuthenticator auth
    $basic
</Location>
<Location "/before">
    AuthBasicProvider fastcgi-ng file
    AuthUserFile $dir/users
    FastCgiNgAuthenticator auth
    FastCgiNgAuthenticatorAuthoritative Off
    $basic
</Location>
<Location "/missing">
    AuthBasicProvider fastcgi-ng
    $basic
</Location>
<Location "/hook">
    FastCgiNgAuthenticator auth
    $basic
</Location>
<Location "/named">
    FastCgiNgAuthenticator auth
    FastCgiNgAuthorizerUser on
    $basic
</Location>
<Location "/soft">
    FastCgiNgAuthenticator auth
    FastCgiNgAuthenticatorAuthoritative Off
    AuthBasicProvider file
    AuthUserFile $dir/users
    $basic
</Location>
<Location "/access">
    FastCgiNgAccessChecker auth
    FastCgiNgPass app
</Location>
<Location "/mild">
    FastCgiNgAccessChecker auth
    FastCgiNgAccessCheckerAuthoritative Off
    FastCgiNgPass app
</Location>
<Location "/mild/no/all">
    Require all denied
</Location>
CONF
    push @{ $host->{apps} }, $app;
    $host->expect(qr/FCNG\d+/);
    $host->start;

    my $login = sub {
        my ($path, @who) = @_;
        my $r = $host->get($path, headers => [@who ? basic(@who) : ()]);
        return wantarray ? ($r->{status}, $r) : $r->{status};
    };
    my $seen = 'TEAM=blue REMOTE_USER=ann AUTH_TYPE=Basic REMOTE_PASSWD=';

    # ---- AuthBasicProvider
    my ($status, $r) = $login->('/provider');
    is($status, 401, 'provider: nobody');
    like($r->header('WWW-Authenticate'), qr/^Basic/, 'a challenge');
    is(scalar($auth->events('request')), 0, 'is not asked');
    ($status, $r) = $login->('/provider', 'ann', 'open');
    is($r->{body}, $seen, 'a user');
    my ($asked) = $auth->events('request');
    is(join(' ', map { $asked->{env}{$_} // '' } qw(FCGI_APACHE_ROLE
        REMOTE_USER REMOTE_PASSWD AUTH_TYPE)), 'AUTHENTICATOR ann open Basic',
        'what it is told');
    is(scalar($auth->events('request')), 1, 'asked once');
    is($login->('/provider', 'ann', 'bad'), 401, 'a wrong password');
    is($login->('/provider', 'mary', 'x'), 500, 'a failure');
    is($login->('/after', 'joe', 'secret'), 200, 'the file comes first');
    is($login->('/after', 'ann', 'open'), 200, 'then the application');
    is($login->('/after', 'ann', 'bad'), 401, 'and neither');
    is($login->('/before', 'joe', 'secret'), 200, 'not authoritative');
    is($login->('/before', 'mary', 'x'), 500, 'but a failure is one');
    is($login->('/missing', 'ann', 'open'), 500, 'no pool');
    like($host->log, qr/write FastCgiNgAuthenticator POOL/, 'is told');

    # ---- FastCgiNgAuthenticator
    ($status, $r) = $login->('/hook');
    is($status, 401, 'hook: nobody');
    like($r->header('WWW-Authenticate'), qr/^Basic/, 'a challenge');
    ($status, $r) = $login->('/hook', 'ann', 'open');
    is($r->{body}, $seen, 'a user');
    ($status, $r) = $login->('/hook', 'ann', 'bad');
    is("$status $r->{body}", '401 who?', 'a wrong password: its answer');
    like($r->header('WWW-Authenticate'), qr/^Basic/, 'and the challenge');
    is($login->('/hook', 'mary', 'x'), 502, 'a failure');
    ($status, $r) = $login->('/named', 'ann', 'open');
    like($r->{body}, qr/REMOTE_USER=Ann /, 'FastCgiNgAuthorizerUser');
    is($login->('/soft', 'joe', 'secret'), 200, 'Off: the file decides');
    is($login->('/soft', 'joe', 'bad'), 401, 'also against');
    is($login->('/soft', 'mary', 'x'), 502, 'a failure denies');
    # A line is written when its response has gone out.
    my $logged = sub {
        my ($line) = @_;
        return wait_until(3, sub { slurp("$dir/logs/user.log") =~ $line });
    };
    ok($logged->(qr{^ann /hook$}m), 'log: who logged in');
    ok($logged->(qr{^Ann /named$}m), 'log: what it is called');

    # ---- FastCgiNgAccessChecker
    is($login->('/access/yes'), 200, 'access: granted');
    ($status, $r) = $login->('/access/no');
    is("$status $r->{body}", '403 closed', 'denied: its answer');
    is($login->('/access/dies'), 502, 'a failure');
    is($login->('/mild/no'), 200, 'Off: the others decide');
    is($login->('/mild/no/all'), 403, 'also against');
    is($login->('/mild/dies'), 502, 'a failure denies');
    unlike($host->log, qr/open|REMOTE_PASSWD/, 'no password in the log');
});
