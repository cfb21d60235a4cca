# SPDX-License-Identifier: BSD-2-Clause
#
# Both servers with our module and the one that comes with them, and the
# application behind.
package Servers;

use strict;
use warnings;
use Exporter 'import';
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use FCNG::Programs;
use Bench;
use Measure;

our @EXPORT = qw(server application against);

# What fastcgi.conf of nginx sends; the module sends the same by itself.
my $params = join '', map { "fastcgi_param $_;\n" } (
    'SCRIPT_FILENAME $document_root$fastcgi_script_name',
    'QUERY_STRING $query_string', 'REQUEST_METHOD $request_method',
    'CONTENT_TYPE $content_type', 'CONTENT_LENGTH $content_length',
    'SCRIPT_NAME $fastcgi_script_name', 'REQUEST_URI $request_uri',
    'DOCUMENT_URI $document_uri', 'DOCUMENT_ROOT $document_root',
    'SERVER_PROTOCOL $server_protocol', 'REQUEST_SCHEME $scheme',
    'HTTPS $https if_not_empty', 'GATEWAY_INTERFACE CGI/1.1',
    'SERVER_SOFTWARE nginx/$nginx_version', 'REMOTE_ADDR $remote_addr',
    'REMOTE_PORT $remote_port', 'SERVER_ADDR $server_addr',
    'SERVER_PORT $server_port', 'SERVER_NAME $server_name',
    'REDIRECT_STATUS 200');

my %server = (
    nginx => { class => 'FCNG::Host::Nginx',
        against => 'fastcgi_pass, keepalive 512', stock => sub {
            my ($host, $address) = @_;
            $host->main(nginx => "upstream builtin {\nserver $address;\n"
                . "keepalive 512;\n}\n");
            $host->server(nginx => "location /builtin/ {\n"
                . "fastcgi_pass builtin;\nfastcgi_keep_conn on;\n"
                . "$params}\n"
                . "location /builtin/auth/ {\nauth_request /ask;\n}\n"
                . "location = /ask {\ninternal;\nfastcgi_pass builtin;\n"
                . "fastcgi_keep_conn on;\nfastcgi_pass_request_body off;\n"
                . ($params =~ s/\$content_length/""/r) . "}\n");
        } },
    apache => { class => 'FCNG::Host::Apache',
        against => 'mod_proxy_fcgi, enablereuse=on', stock => sub {
            my ($host, $address) = @_;
            $host->server(apache => "<Location \"/builtin\">\n"
                . "ProxyPass \"$address|fcgi://localhost\" enablereuse=on\n"
                . "</Location>\n");
            authorizer_of_apache($host);
        } },
);

# mod_authnz_fcgi knows TCP alone, so both are asked over TCP.
sub authorizer_of_apache {
    my ($host) = @_;
    my $app = $host->{asked} = application(listen => 'tcp');
    my $address = $app->address;
    $host->main(apache => "AuthnzFcgiDefineProvider authn builtin "
        . "fcgi://$address/\n");
    $host->server(apache => <<"CONF");
FastCgiNgPool asked $address
<Location "/ng/auth">
    FastCgiNgPass off
    FastCgiNgAuthorizer asked
</Location>
<Location "/builtin/auth">
    ProxyPass "!"
    AuthType Basic
    AuthName builtin
    AuthnzFcgiCheckAuthnProvider builtin RequireBasicAuth Off UserExpr "x"
    Require valid-user
</Location>
CONF
}

# Ours is at /ng/, with nothing but the address, and at /shared/ on connections
# that requests share; the other at /builtin/.
sub server {
    my ($name, $app, %how) = @_;
    my $host = $server{$name}{class}->new(log_level => 'warn',
        threads => CLIENTS + 16, load => [qw(proxy proxy_fcgi authn_core
            authz_user authnz_fcgi)], %how);
    my $address = $app->address;
    $host->file("$_/auth/64", 'x' x 1024) for qw(ng builtin);
    $host->server(nginx => "location /ng/ {\nfastcgi_ng_pass $address;\n}\n"
            . "location /ng/auth/ {\nfastcgi_ng_authorizer $address;\n}\n"
            . "location /shared/ {\nfastcgi_ng_pass $address;\n"
            . "fastcgi_ng_pool multiplex=on;\n}\n",
        apache => "FastCgiNgPool app $address\n<Location \"/ng\">\n"
            . "FastCgiNgPass app\n</Location>\n"
            . "FastCgiNgPool shared $address multiplex=on\n"
            . "<Location \"/shared\">\nFastCgiNgPass shared\n</Location>\n");
    # Nobody who counts requests looks for .htaccess in each folder.
    $host->main(apache => "<Directory \"$_\">\nAllowOverride None\n"
        . "</Directory>\n") for '/', $host->docroot;
    $server{$name}{stock}->($host, $address);
    $host->start;
    Measure::pin(0, $host->{pid}, $host->workers);
    return $host;
}

sub application {
    my $app = FCNG::Programs->fast(@_);
    Measure::pin(1, $app->{pid});
    return $app;
}

# How many connections to the application have carried requests since this was
# last asked: the most at once, and how many more took their place.
sub connections {
    my ($host, $variant) = @_;
    my ($most, $all) = $host->get("/$variant/used")->{body}
        =~ /^(\d+) (\d+)$/ or die "bench: the application does not tell\n";
    return (connections => $most, replaced => $all - $most);
}

# Both as a table shows them.
sub conns {
    my ($of) = @_;
    return '-' if !defined $of->{connections};
    return int($of->{connections})
        . ($of->{replaced} >= 1 ? '+' . int $of->{replaced} : '');
}

sub params { $params }
sub class { $server{$_[0]}{class} }
sub against { $server{$_[0]}{against} }

1;
