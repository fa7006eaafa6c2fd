service-title = Neuer Dienst
service-name = Name
    .help = Kleinbuchstaben, einmalig in der Umgebung. Später nicht mehr zu ändern.
service-env = Umgebung
service-port = Port
